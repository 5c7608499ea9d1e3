#include "embedding.h"
#include <math.h>
#include <string.h>
#define ML_FAMILY embedding
#define ML_SOURCE "embedding.inc.h"
#include "each_isa.h"
