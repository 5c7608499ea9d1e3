#include "scatter.h"
#define ML_FAMILY scatter
#define ML_SOURCE "scatter.inc.h"
#include "each_isa.h"
