/* Elements combined where an index says; scatter_reference.py is the definition. */
#ifndef ML_SCATTER_H
#define ML_SCATTER_H
#include "ml.h"

typedef struct {
    ml_kernel multiply_at, maximum_at, minimum_at;      /* x (n), index (m), v (m) */
} scatter_kernels;

const scatter_kernels *scatter_select(const ml_runtime *rt);
#endif
