#include "dropout.h"
#include <math.h>
#define ML_FAMILY dropout
#define ML_SOURCE "dropout.inc.h"
#include "each_isa.h"
