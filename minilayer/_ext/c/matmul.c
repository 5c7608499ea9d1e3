/* The matmul family for every instruction set. */
#include "matmul.h"
#define ML_FAMILY matmul
#define ML_SOURCE "matmul.inc.h"
#include "each_isa.h"
