#include "losses.h"
#define ML_FAMILY losses
#define ML_SOURCE "losses.inc.h"
#include "each_isa.h"
