#include "philox.h"
#include <math.h>
#define ML_FAMILY philox
#define ML_SOURCE "philox.inc.h"
#include "each_isa.h"
