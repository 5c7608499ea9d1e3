/* Order; sort_reference.py is the definition. x is (outer, n, inner) in C order. */
#ifndef ML_SORT_H
#define ML_SORT_H
#include <string.h>
#include "ml.h"

typedef struct {
    int32_t flag;                   /* sort: descending; topk: largest; searchsorted: right */
} ml_sort_settings;

typedef struct {
    ml_kernel sort;                 /* x, y, index */
    ml_kernel topk;                 /* x, y (outer, k, inner), index */
    ml_kernel searchsorted;         /* rows (R, n) or (1, n), values (R, m), index */
} sort_kernels;

const sort_kernels *sort_select(const ml_runtime *rt);
#endif
