/* Rows of a table by index; embedding_reference.py is the definition. */
#ifndef ML_EMBEDDING_H
#define ML_EMBEDDING_H
#include "ml.h"

typedef struct {
    int64_t padding_idx;            /* this row gets no gradient; -1: none */
    int32_t accumulate;
} ml_embedding_settings;

typedef struct {
    ml_kernel embedding;            /* weight (V, D), index (n), y (n, D) */
    ml_kernel embedding_backward;   /* dy (n, D), index (n), dweight (V, D) */
} embedding_kernels;

const embedding_kernels *embedding_select(const ml_runtime *rt);
#endif
