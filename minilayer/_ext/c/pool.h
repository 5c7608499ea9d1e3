/* Pooling: settings and entries. The formulas are in pool_reference.py. */
#ifndef ML_POOL_H
#define ML_POOL_H
#include "ml.h"

typedef struct {
    int64_t kernel[3], stride[3], padding[3], dilation[3];  /* depth, height, width */
    int count_include_pad;
    double divisor;                     /* avg_pool: what to divide by; 0 = the window's size */
} pool_settings;

typedef struct {
    ml_kernel max_pool;                 /* x y index */
    ml_kernel max_pool_backward;        /* dy index dx */
    ml_kernel adaptive_max_pool;        /* x y index */
    ml_kernel fractional_max_pool;      /* x samples y index */
    ml_kernel max_unpool;               /* x index y */
    ml_kernel max_unpool_backward;      /* dy index dx */
    ml_kernel avg_pool;                 /* x y */
    ml_kernel avg_pool_backward;        /* dy dx */
    ml_kernel adaptive_avg_pool;        /* x y */
    ml_kernel adaptive_avg_pool_backward; /* dy dx */
} pool_kernels;

const pool_kernels *pool_select(const ml_runtime *rt);
#endif
