/* Convolution of images (four axes) and volumes (five): settings and table of entries. Arrays as in conv_reference.py,
   all in C order. */
#ifndef ML_CONV_H
#define ML_CONV_H
#include "ml.h"

enum { ML_CONV_NONE, ML_CONV_RELU };

typedef struct {
    int64_t stride[3], padding[3], dilation[3], groups;     /* along D, H, W; padding: in front, at the top, left */
    int activation;                 /* conv only; one of ML_CONV_* */
    int accumulate;                 /* the backward kernels only */
} conv_settings;

typedef struct {
    ml_kernel conv;                     /* x, w, b or NULL, y */
    ml_kernel conv_transpose;           /* x, w, b or NULL, y */
    ml_kernel conv_backward_input;      /* dy, w, dx */
    ml_kernel conv_backward_weight;     /* dy, x, dw */
} conv_kernels;

const conv_kernels *conv_select(const ml_runtime *rt);

#endif
