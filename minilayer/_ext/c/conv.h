/* Two-dimensional convolution: settings and table of entries. Arrays as in conv_reference.py, all in C order. */
#ifndef ML_CONV_H
#define ML_CONV_H
#include "ml.h"

enum { ML_CONV_NONE, ML_CONV_RELU };

typedef struct {
    int64_t stride[2], padding[2], dilation[2], groups;     /* [0] along H, [1] along W; padding: top, left */
    int activation;                 /* conv2d only; one of ML_CONV_* */
    int accumulate;                 /* the backward kernels only */
} conv_settings;

typedef struct {
    ml_kernel conv2d;                   /* x, w, b or NULL, y */
    ml_kernel conv2d_backward_input;    /* dy, w, dx */
    ml_kernel conv2d_backward_weight;   /* dy, x, dw */
} conv_kernels;

const conv_kernels *conv_select(const ml_runtime *rt);

#endif
