/* Windows of images as columns, and back; fold_reference.py is the definition. */
#ifndef ML_FOLD_H
#define ML_FOLD_H
#include "ml.h"

typedef struct {
    int64_t stride[2], padding[2], dilation[2];     /* [0] along H, [1] along W; padding: top, left */
} fold_settings;

typedef struct {
    ml_kernel unfold;               /* x (B, C, H, W), y (B, C, K, L, P, Q) */
    ml_kernel fold;                 /* y (B, C, K, L, P, Q), x (B, C, H, W) */
} fold_kernels;

const fold_kernels *fold_select(const ml_runtime *rt);
#endif
