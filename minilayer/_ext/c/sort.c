#include "sort.h"
#define ML_FAMILY sort
#define ML_SOURCE "sort.inc.h"
#include "each_isa.h"
