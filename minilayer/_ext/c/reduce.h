/* Reductions over any axes, and searches and running sums along one: settings and table. */
#ifndef ML_REDUCE_H
#define ML_REDUCE_H
#include "ml.h"

typedef struct { int32_t accumulate; double divisor; } ml_reduce_settings;      /* y (+)= reduction / divisor */
typedef struct { int32_t axis, reverse; } ml_axis_settings;

typedef struct {
    ml_kernel sum, prod, max, min, any, all;
    ml_kernel argmax, argmin, max_with_index, min_with_index;
    ml_kernel max_backward, scatter_axis, prod_backward, cumsum;
} reduce_kernels;

const reduce_kernels *reduce_select(const ml_runtime *);
#endif
