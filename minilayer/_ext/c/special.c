#include "special.h"
#define ML_FAMILY special
#define ML_SOURCE "special.inc.h"
#include "each_isa.h"
