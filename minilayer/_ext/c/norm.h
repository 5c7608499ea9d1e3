/* Normalisation: settings and entries. The formulas are in norm_reference.py. */
#ifndef ML_NORM_H
#define ML_NORM_H
#include "ml.h"

typedef struct {
    double eps;
    int accumulate;                 /* layer_norm_backward, rms_norm_backward: add to dw and db */
    int64_t groups;                 /* group_norm */
    int64_t n;                      /* instance_statistics: how many values each was measured on */
} norm_settings;

typedef struct {
    int64_t size;
    double alpha, beta, k;
} response_settings;

typedef struct {
    ml_kernel layer_norm;           /* x w b y mean rstd */
    ml_kernel layer_norm_backward;  /* dy x w mean rstd dx dw db */
    ml_kernel batch_norm;           /* x w b y mean rstd running_mean running_var momentum */
    ml_kernel batch_norm_eval;      /* x w b running_mean running_var y */
    ml_kernel batch_norm_backward;  /* dy x w mean rstd dx dw db */
    ml_kernel batch_norm_eval_backward; /* dy x w running_mean running_var dx dw db */
    ml_kernel rms_norm;             /* x w y rstd */
    ml_kernel rms_norm_backward;    /* dy x w rstd dx dw */
    ml_kernel group_norm;           /* x w b y mean rstd variance */
    ml_kernel group_norm_backward;  /* dy x w mean rstd dx dw db */
    ml_kernel instance_statistics;  /* mean variance running_mean running_var momentum */
    ml_kernel local_response_norm;  /* x y scale */
    ml_kernel local_response_norm_backward; /* dy x scale dx */
} norm_kernels;

const norm_kernels *norm_select(const ml_runtime *rt);
#endif
