/* Recurrent layers over whole sequences: settings and table of entries. Arrays as in recurrent_reference.py, all in C
   order; batch_sizes int64. */
#ifndef ML_RECURRENT_H
#define ML_RECURRENT_H
#include "ml.h"

typedef struct {
    int relu;                       /* rnn and its gradient only */
    int reverse;                    /* from the last step to the first */
} recurrent_settings;

typedef struct {
    ml_kernel previous;             /* batch_sizes, h0 or NULL, y, before */
    ml_kernel rnn;                  /* batch_sizes, h0?, w_hh, b_hh?, y, hn */
    ml_kernel rnn_backward;         /* dy?, dhn?, batch_sizes, w_hh, y, dx, dh0 */
    ml_kernel lstm;                 /* batch_sizes, h0?, c0?, w_hh, b_hh?, w_hr?, gates, cells, m?, y, hn, cn */
    ml_kernel lstm_backward;        /* dy?, dhn?, dcn?, batch_sizes, c0?, w_hh, w_hr?, gates, cells, dgates, dh?, dh0,
                                       dc0 */
    ml_kernel gru;                  /* batch_sizes, h0?, w_hh, b_hh?, gates, u, y, hn */
    ml_kernel gru_backward;         /* dy?, dhn?, batch_sizes, h0?, w_hh, gates, u, y, dgates, du, dh0 */
} recurrent_kernels;

const recurrent_kernels *recurrent_select(const ml_runtime *rt);

#endif
