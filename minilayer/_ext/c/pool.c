#include "pool.h"
#define ML_FAMILY pool
#define ML_SOURCE "pool.inc.h"
#include "each_isa.h"
