/* Functions of mathematics; special_reference.py is the definition. */
#ifndef ML_SPECIAL_H
#define ML_SPECIAL_H
#include <math.h>
#include <string.h>
#include "ml.h"

typedef struct {
    /* x, y */
    ml_kernel tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, exp2, log2, log10;
    ml_kernel erfc, erfinv, lgamma, digamma, trigamma;
    /* a, b, y */
    ml_kernel fmod, atan2, hypot, logaddexp, copysign, fmax, fmin;
} special_kernels;

const special_kernels *special_select(const ml_runtime *rt);
#endif
