#include "optimizer.h"
#include <math.h>
#define ML_FAMILY optimizer
#define ML_SOURCE "optimizer.inc.h"
#include "each_isa.h"
