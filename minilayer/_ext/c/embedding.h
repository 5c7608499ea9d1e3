/* Rows of a table by index; embedding_reference.py is the definition. */
#ifndef ML_EMBEDDING_H
#define ML_EMBEDDING_H
#include "ml.h"

typedef struct {
    int64_t padding_idx;            /* this row gets no gradient, and counts in no bag; -1: none */
    double max_norm, norm_type;
    int32_t mode;                   /* of bags: EMBEDDING_SUM and so on */
    int32_t by_frequency;           /* gradients are divided by how often the row is asked for */
    int32_t accumulate;
} ml_embedding_settings;

enum { EMBEDDING_SUM, EMBEDDING_MEAN, EMBEDDING_MAX };

typedef struct {
    ml_kernel embedding;            /* weight (V, D), index (n), y (n, D) */
    ml_kernel embedding_backward;   /* dy (n, D), index (n), dweight (V, D) */
    ml_kernel embedding_renorm;     /* weight (V, D), index (n) */
    ml_kernel embedding_bag;        /* weight (V, D), index (n), offsets (B+1), scales (n), y (B, D), picks (B, D) */
    ml_kernel embedding_bag_backward;           /* dy, index, offsets, scales, picks, dweight */
    ml_kernel embedding_bag_backward_scales;    /* dy, weight, index, offsets, dscales */
} embedding_kernels;

const embedding_kernels *embedding_select(const ml_runtime *rt);
#endif
