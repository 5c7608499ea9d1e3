/* The conv family for every instruction set. */
#include "conv.h"
#define ML_FAMILY conv
#define ML_SOURCE "conv.inc.h"
#include "each_isa.h"
