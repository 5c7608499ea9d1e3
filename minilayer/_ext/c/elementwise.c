#include "elementwise.h"
#define ML_FAMILY elementwise
#define ML_SOURCE "elementwise.inc.h"
#include "each_isa.h"
