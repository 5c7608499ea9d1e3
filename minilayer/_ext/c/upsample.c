#include "upsample.h"
#define ML_FAMILY upsample
#define ML_SOURCE "upsample.inc.h"
#include "each_isa.h"
