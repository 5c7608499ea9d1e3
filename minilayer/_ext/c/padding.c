#include "padding.h"
#include <string.h>
#define ML_FAMILY padding
#define ML_SOURCE "padding.inc.h"
#include "each_isa.h"
