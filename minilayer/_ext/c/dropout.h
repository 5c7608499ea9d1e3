/* Dropout; dropout_reference.py is the definition. */
#ifndef ML_DROPOUT_H
#define ML_DROPOUT_H
#include "ml.h"

typedef struct { double p, scale, shift, dropped; } ml_dropout_settings;    /* the last three: dropout_rows alone */

typedef struct {
    ml_kernel dropout;              /* x, position, y */
    ml_kernel dropout_rows;         /* x, position, y */
} dropout_kernels;

const dropout_kernels *dropout_select(const ml_runtime *rt);
#endif
