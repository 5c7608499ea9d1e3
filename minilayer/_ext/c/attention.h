/* Attention: settings and entries. The formulas are in attention_reference.py. */
#ifndef ML_ATTENTION_H
#define ML_ATTENTION_H
#include "ml.h"

typedef struct {
    double scale, p;
    int causal;
} attention_settings;

typedef struct { int interleaved, inverse; } rotary_settings;

typedef struct {
    ml_kernel attention;            /* q k v mask position y stats */
    ml_kernel attention_backward;   /* dy q k v mask position y stats dq dk dv dmask */
    ml_kernel rotary;               /* x cosine sine y */
} attention_kernels;

const attention_kernels *attention_select(const ml_runtime *rt);
#endif
