/* Padding with an array's own values; padding_reference.py is the definition. */
#ifndef ML_PADDING_H
#define ML_PADDING_H
#include "ml.h"

enum { PADDING_REFLECT, PADDING_REPLICATE, PADDING_CIRCULAR };

typedef struct {
    int64_t before[3];              /* depth, height, width */
    int mode;
} padding_settings;

typedef struct {
    ml_kernel pad;                  /* x (N, D, H, W), y (N, O, P, Q) */
    ml_kernel pad_backward;         /* dy (N, O, P, Q), dx (N, D, H, W) */
} padding_kernels;

const padding_kernels *padding_select(const ml_runtime *rt);
#endif
