/* Resizing by tables of places and weights; upsample_reference.py is the definition. */
#ifndef ML_UPSAMPLE_H
#define ML_UPSAMPLE_H
#include "ml.h"

typedef struct {
    ml_kernel resize;               /* x (N, H, W), y (N, P, Q), rows (P, K), weights, columns (Q, L), weights */
    ml_kernel resize_backward;      /* dy (N, P, Q), dx (N, H, W), the same */
} upsample_kernels;

const upsample_kernels *upsample_select(const ml_runtime *rt);
#endif
