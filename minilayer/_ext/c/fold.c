#include "fold.h"
#define ML_FAMILY fold
#define ML_SOURCE "fold.inc.h"
#include "each_isa.h"
