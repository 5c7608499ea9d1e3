#include "attention.h"
#define ML_FAMILY attention
#define ML_SOURCE "attention.inc.h"
#include "each_isa.h"
