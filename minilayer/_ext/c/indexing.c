/* Copies, fills, gathers and scatters, compiled once an instruction set. */
#include "indexing.h"
#define ML_FAMILY indexing
#define ML_SOURCE "indexing.inc.h"
#include "each_isa.h"
