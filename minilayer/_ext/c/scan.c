#include "scan.h"
#define ML_FAMILY scan
#define ML_SOURCE "scan.inc.h"
#include "each_isa.h"
