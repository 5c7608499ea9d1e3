#include "arithmetic.h"
#define ML_FAMILY arithmetic
#define ML_SOURCE "arithmetic.inc.h"
#include "each_isa.h"
