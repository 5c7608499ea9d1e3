#include "ctc.h"
#include <math.h>
#define ML_FAMILY ctc
#define ML_SOURCE "ctc.inc.h"
#include "each_isa.h"
