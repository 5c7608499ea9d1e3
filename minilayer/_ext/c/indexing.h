/* Copies, fills, and rows gathered or scattered by index: settings and table. */
#ifndef ML_INDEXING_H
#define ML_INDEXING_H
#include "ml.h"

typedef struct { double real; int64_t integer; } ml_fill_settings;      /* the value in both forms; y's dtype picks */

typedef struct {
    int32_t count;                          /* indices a[0 .. count-1]; flat is a[count] */
    int32_t axis[ML_MAX_DIMS];              /* >= 0: this index is the position along that axis of flat, no array */
    int64_t sizes[ML_MAX_DIMS], strides[ML_MAX_DIMS];
} ml_flatten_settings;

typedef struct { int64_t *count; } ml_count_settings;

typedef struct {
    ml_kernel copy, fill, flatten_index, take_rows, put_rows, add_rows, count_nonzero, nonzero;
} indexing_kernels;

const indexing_kernels *indexing_select(const ml_runtime *);
#endif
