#include "norm.h"
#define ML_FAMILY norm
#define ML_SOURCE "norm.inc.h"
#include "each_isa.h"
