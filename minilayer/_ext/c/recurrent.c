/* The recurrent family for every instruction set. */
#include "recurrent.h"
#define ML_FAMILY recurrent
#define ML_SOURCE "recurrent.inc.h"
#include "each_isa.h"
