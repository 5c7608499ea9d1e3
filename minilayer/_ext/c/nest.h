/* The loop nest under the elementwise families: any number of arrays with any strides, broadcast
   against one another.

   A kernel brings the innermost loop only, a "row": n items of every operand, each operand either
   advancing by its item size or standing still (step 0). ml_nest_run does the rest once for all:

     - arrays of one size in C order (and single numbers beside them) are one long row;
     - otherwise axes of size 1 are dropped, axes that lie in memory as one axis are merged, and an
       odometer walks the outer ones;
     - an operand whose innermost stride is neither its item size nor 0 passes through a block
       buffer in the first-level cache, so a row never sees a stride;
     - pieces of NEST_GRAIN items go to the thread pool.

   An output may be the very memory of an input, item for item (in place); other overlaps are the
   caller's to avoid. */
#ifndef ML_NEST_H
#define ML_NEST_H

#include <string.h>

#include "ml.h"

#define NEST_OPERANDS 5
#define NEST_BLOCK 512
#define NEST_TILE_COLUMNS 64        /* of a transposed operand: so many columns of so many rows are read together, */
#define NEST_TILE_ROWS 16           /* because one cache line holds one column of them */
#define NEST_GRAIN 32768

/* Some loops read and write the same place; none carries a value from one turn to the next. */
#if defined(__clang__)
#define ML_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define ML_LOOP _Pragma("GCC ivdep")
#endif

/* p[k]: the operand's items (NULL for an absent output); step[k]: its item size, or 0. Returns a status. */
typedef int (*ml_row)(char *const *p, const int64_t *step, int64_t n, const void *settings);

enum {
    NEST_UPDATE = 1,                /* outputs are read before they are written */
    NEST_EXPAND = 2                 /* the row wants every operand advancing: numbers are repeated in a buffer */
};

typedef struct {
    ml_row row;
    const void *settings;
    int flags, ins, operands, ndim, status;
    int64_t shape[ML_MAX_DIMS];
    char *data[NEST_OPERANDS];
    int64_t itemsize[NEST_OPERANDS];
    int64_t step[NEST_OPERANDS];                    /* what the row sees */
    int buffered[NEST_OPERANDS];
    int tiled;
    int64_t block;                                  /* items a call of the row */
    int64_t stride[NEST_OPERANDS][ML_MAX_DIMS];
} ml_nest;

static void ml_nest_report(ml_nest *nest, int status)
{
    if (status != ML_OK)
        __atomic_store_n(&nest->status, status, __ATOMIC_RELAXED);
}

static void ml_nest_flat_piece(void *context, int64_t begin, int64_t end)
{
    ml_nest *nest = context;
    char *p[NEST_OPERANDS];
    for (int k = 0; k < nest->operands; k++)
        p[k] = nest->data[k] ? nest->data[k] + begin * nest->step[k] : NULL;
    ml_nest_report(nest, nest->row(p, nest->step, end - begin, nest->settings));
}

/* n items from one stride to another, one of which is dense; from a stride of 0 a number is repeated. */
#define ML_MOVE(T)                                                                                      \
    if (to_stride != sizeof(T)) {                                                                       \
        for (int64_t i = 0; i < n; i++)                                                                 \
            *(T *)(to + i * to_stride) = ((const T *)from)[i];                                          \
    } else if (from_stride == 0) {                                                                      \
        for (int64_t i = 0; i < n; i++)                                                                 \
            ((T *)to)[i] = *(const T *)from;                                                            \
    } else {                                                                                            \
        for (int64_t i = 0; i < n; i++)                                                                 \
            ((T *)to)[i] = *(const T *)(from + i * from_stride);                                        \
    }

static void ml_nest_move(char *restrict to, int64_t to_stride, const char *restrict from, int64_t from_stride,
                         int64_t n, int64_t itemsize)
{
    if (itemsize == 4) {
        ML_MOVE(uint32_t)
    } else if (itemsize == 8) {
        ML_MOVE(uint64_t)
    } else {
        ML_MOVE(uint8_t)
    }
}
#undef ML_MOVE

/* Where a piece is: the start of its current row in every operand, and what its buffers hold. */
typedef struct {
    char *row[NEST_OPERANDS];
    const char *repeated[NEST_OPERANDS];            /* the number that fills buffer k, */
    int64_t filled[NEST_OPERANDS];                  /* and how far */
    uint64_t buffer[NEST_OPERANDS][NEST_BLOCK];
} ml_nest_place;

/* n items of a row, `ahead` rows below the current one, from item `offset` on. */
static int ml_nest_block(const ml_nest *nest, ml_nest_place *at, int64_t ahead, int64_t offset, int64_t n)
{
    const int inner = nest->ndim - 1;
    char *p[NEST_OPERANDS], *own[NEST_OPERANDS];
    for (int k = 0; k < nest->operands; k++) {
        int64_t stride = nest->stride[k][inner], itemsize = nest->itemsize[k];
        own[k] = NULL;
        p[k] = nest->data[k];
        if (!p[k])
            continue;
        p[k] = at->row[k] + offset * stride + (ahead ? ahead * nest->stride[k][inner - 1] : 0);
        if (!nest->buffered[k])
            continue;
        own[k] = p[k];
        p[k] = (char *)at->buffer[k];
        if (k >= nest->ins && !(nest->flags & NEST_UPDATE))
            continue;
        if (stride != 0 || at->repeated[k] != own[k] || at->filled[k] < n)
            ml_nest_move(p[k], itemsize, own[k], stride, n, itemsize);
        at->repeated[k] = stride == 0 ? own[k] : NULL;
        at->filled[k] = n;
    }
    int status = nest->row(p, nest->step, n, nest->settings);
    for (int k = nest->ins; k < nest->operands; k++)
        if (own[k])
            ml_nest_move(own[k], nest->stride[k][inner], p[k], nest->itemsize[k], n, nest->itemsize[k]);
    return status;
}

/* Items [begin, end), counted through the nest in C order. */
static void ml_nest_piece(void *context, int64_t begin, int64_t end)
{
    ml_nest *nest = context;
    const int inner = nest->ndim - 1, operands = nest->operands;
    const int64_t length = nest->shape[inner];
    int64_t index[ML_MAX_DIMS], rest = begin;
    int status = ML_OK;
    ml_nest_place at;

    for (int k = 0; k < operands; k++) {
        at.row[k] = nest->data[k];
        at.repeated[k] = NULL;
    }
    for (int d = inner; d >= 0; d--) {
        index[d] = rest % nest->shape[d];
        rest /= nest->shape[d];
        for (int k = 0; d < inner && k < operands; k++)
            at.row[k] += index[d] * nest->stride[k][d];
    }
    for (int64_t item = begin, offset = index[inner]; item < end; offset = 0) {
        int64_t stop = ml_min(length, offset + (end - item)), rows = 1;
        if (nest->tiled && offset == 0) {
            rows = ml_min(nest->shape[inner - 1] - index[inner - 1], (end - item) / length);
            rows = ml_max(1, ml_min(NEST_TILE_ROWS, rows));
        }
        for (int64_t from = offset, n; from < stop; from += n) {
            n = ml_min(nest->block, stop - from);
            for (int64_t r = 0; r < rows; r++)
                status |= ml_nest_block(nest, &at, r, from, n);
        }
        item += rows * (stop - offset);
        for (int d = inner - 1, step = (int)rows; d >= 0; d--, step = 1) {      /* the odometer moves on */
            for (int k = 0; k < operands; k++)
                at.row[k] += step * nest->stride[k][d];
            index[d] += step;
            if (index[d] < nest->shape[d])
                break;
            index[d] = 0;
            for (int k = 0; k < operands; k++)
                at.row[k] -= nest->shape[d] * nest->stride[k][d];
        }
    }
    ml_nest_report(nest, status);
}

/* Fill shape and strides with as few axes as the arrays allow; y's shape is the nest's. */
static int ml_nest_fold(ml_nest *nest, const ml_array *a, const ml_array *y)
{
    const int operands = nest->operands;
    int order[ML_MAX_DIMS], n = 0;
    for (int k = 0; k < operands; k++) {            /* does every array fit y's shape? */
        if (!a[k].data)
            continue;
        if (a[k].ndim > y->ndim || (k >= nest->ins && a[k].ndim < y->ndim))
            return ML_BAD_SHAPE;
        for (int d = 0; d < a[k].ndim; d++) {
            int64_t have = a[k].shape[d], want = y->shape[d + y->ndim - a[k].ndim];
            if (have != want && (have != 1 || k >= nest->ins))
                return ML_BAD_SHAPE;
        }
    }
    /* Axes longer than 1, ordered by y's strides so that the innermost is where y is dense. */
    for (int d = 0; d < y->ndim; d++) {
        if (y->shape[d] == 1)
            continue;
        int at = n++;
        int64_t stride = y->strides[d] < 0 ? -y->strides[d] : y->strides[d];
        for (; at > 0; at--) {
            int64_t before = y->strides[order[at - 1]];
            if ((before < 0 ? -before : before) >= stride)
                break;
            order[at] = order[at - 1];
        }
        order[at] = d;
    }
    nest->ndim = 0;
    for (int i = 0; i < n; i++) {
        int64_t stride[NEST_OPERANDS];
        int last = nest->ndim - 1, merge = last >= 0;
        for (int k = 0; k < operands; k++) {
            int d = order[i] - (y->ndim - a[k].ndim);
            stride[k] = a[k].data && d >= 0 && a[k].shape[d] != 1 ? a[k].strides[d] : 0;
            if (merge && nest->stride[k][last] != stride[k] * y->shape[order[i]])
                merge = 0;
        }
        int to = merge ? last : nest->ndim++;
        nest->shape[to] = (merge ? nest->shape[to] : 1) * y->shape[order[i]];
        for (int k = 0; k < operands; k++)
            nest->stride[k][to] = stride[k];
    }
    if (nest->ndim == 0) {                          /* one item */
        nest->ndim = 1;
        nest->shape[0] = 1;
        for (int k = 0; k < operands; k++)
            nest->stride[k][0] = nest->itemsize[k];
    }
    const int inner = nest->ndim - 1;
    nest->block = INT64_MAX;
    nest->tiled = 0;
    for (int k = 0; k < operands; k++) {
        int64_t stride = nest->stride[k][inner];
        int still = stride == 0 && !(nest->flags & NEST_EXPAND) && k < nest->ins;
        nest->step[k] = still ? 0 : nest->itemsize[k];
        nest->buffered[k] = a[k].data && !still && stride != nest->itemsize[k];
        if (nest->buffered[k] && nest->block > NEST_BLOCK)
            nest->block = NEST_BLOCK;
        if (nest->buffered[k] && inner > 0 && nest->stride[k][inner - 1] == nest->itemsize[k]) {
            nest->tiled = 1;
            nest->block = NEST_TILE_COLUMNS;
        }
    }
    return ML_OK;
}

/* Run `row` over arrays a[0 .. ins) and outputs a[ins .. ins+outs), all outputs of one shape. */
static int ml_nest_run(ml_row row, const void *settings, const ml_array *a, int ins, int outs, int flags)
{
    ml_nest nest;
    const ml_array *y = NULL;
    int flat = 1;
    if (!row)
        return ML_BAD_DTYPE;
    for (int k = ins + outs - 1; k >= ins; k--)
        if (a[k].data)
            y = &a[k];
    if (!y || y->size == 0)
        return ML_OK;
    nest.row = row;
    nest.settings = settings;
    nest.flags = flags;
    nest.ins = ins;
    nest.operands = ins + outs;
    nest.status = ML_OK;
    for (int k = 0; k < nest.operands; k++) {
        nest.data[k] = a[k].data;
        nest.itemsize[k] = nest.step[k] = ml_itemsizes[a[k].dtype];
        if (!a[k].data || (a[k].size == y->size && (a[k].size == 1 || ml_contiguous(&a[k]))))
            continue;
        if (a[k].size == 1 && k < ins && !(flags & NEST_EXPAND))
            nest.step[k] = 0;
        else
            flat = 0;
    }
    if (flat && y->size < ML_SHARED_FROM)
        return row(nest.data, nest.step, y->size, settings);
    int status = flat ? ML_OK : ml_nest_fold(&nest, a, y);
    if (status != ML_OK)
        return status;
    if (flat) {
        ml_rt->parallel_for(ml_nest_flat_piece, &nest, y->size, NEST_GRAIN);
    } else {
        int64_t length = nest.shape[nest.ndim - 1];         /* whole rows where they are shorter than a piece */
        int64_t grain = length < NEST_GRAIN ? NEST_GRAIN / length * length : NEST_GRAIN;
        ml_rt->parallel_for(ml_nest_piece, &nest, y->size, ml_shared(y->size, y->size, grain));
    }
    return nest.status;
}

#endif
