#include "activation.h"
#define ML_FAMILY activation
#define ML_SOURCE "activation.inc.h"
#include "each_isa.h"
