/* Matrix products: settings and table of entries. Arrays in the order of matmul_reference.py. */
#ifndef ML_MATMUL_H
#define ML_MATMUL_H
#include "ml.h"

enum { ML_LINEAR_NONE, ML_LINEAR_RELU };

typedef struct {
    int accumulate;
    int activation;                 /* linear only; one of ML_LINEAR_* */
} matmul_settings;

typedef struct {
    ml_kernel matmul;               /* a, b, y */
    ml_kernel linear;               /* x, w, b or NULL, y */
} matmul_kernels;

const matmul_kernels *matmul_select(const ml_runtime *rt);

#endif
