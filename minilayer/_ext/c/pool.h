/* Pooling: settings and entries. The formulas are in pool_reference.py. */
#ifndef ML_POOL_H
#define ML_POOL_H
#include "ml.h"

typedef struct {
    int64_t kernel[2], stride[2], padding[2], dilation[2];  /* height, width */
    int count_include_pad;
    double divisor;                     /* avg_pool2d: what to divide by; 0 = the window's size */
} pool_settings;

typedef struct {
    ml_kernel max_pool2d;               /* x y index */
    ml_kernel max_pool2d_backward;      /* dy index dx */
    ml_kernel avg_pool2d;               /* x y */
    ml_kernel avg_pool2d_backward;      /* dy dx */
    ml_kernel adaptive_avg_pool2d;      /* x y */
    ml_kernel adaptive_avg_pool2d_backward; /* dy dx */
} pool_kernels;

const pool_kernels *pool_select(const ml_runtime *rt);
#endif
