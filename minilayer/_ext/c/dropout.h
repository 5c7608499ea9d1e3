/* Dropout; dropout_reference.py is the definition. */
#ifndef ML_DROPOUT_H
#define ML_DROPOUT_H
#include "ml.h"

typedef struct { double p; } ml_dropout_settings;

typedef struct {
    ml_kernel dropout;              /* x, position, y */
} dropout_kernels;

const dropout_kernels *dropout_select(const ml_runtime *rt);
#endif
