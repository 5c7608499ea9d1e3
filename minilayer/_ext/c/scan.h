/* Running products and their kin; scan_reference.py is the definition. Arrays are (outer, n, inner) in C order. */
#ifndef ML_SCAN_H
#define ML_SCAN_H
#include <math.h>
#include <string.h>
#include "ml.h"

typedef struct {
    ml_kernel cumprod;                  /* x, y */
    ml_kernel cumprod_backward;         /* x, y, dy, dx */
    ml_kernel cummax, cummin;           /* x, y, index */
    ml_kernel add_along;                /* dy, index, dx */
    ml_kernel logcumsumexp;             /* x, y */
    ml_kernel logcumsumexp_backward;    /* x, y, dy, dx */
} scan_kernels;

const scan_kernels *scan_select(const ml_runtime *rt);
#endif
