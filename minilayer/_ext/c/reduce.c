/* Reductions, compiled once an instruction set. */
#include "reduce.h"
#define ML_FAMILY reduce
#define ML_SOURCE "reduce.inc.h"
#include "each_isa.h"
