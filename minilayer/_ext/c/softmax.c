#include "softmax.h"
#define ML_FAMILY softmax
#define ML_SOURCE "softmax.inc.h"
#include "each_isa.h"
