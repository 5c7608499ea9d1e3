/* matmul and linear: strides to a GEMM (gemm.inc.h), batches to a loop over GEMMs. */

#ifndef G_T

#include "vec.h"
#define GEMM_USER "matmul.inc.h"
#include "gemm.inc.h"
#undef GEMM_USER

GEMM_ENTRY(matmul, 2)
GEMM_ENTRY(linear, 3)

static const matmul_kernels ML_NAME(table) = {ML_NAME(matmul), ML_NAME(linear)};

#else /* one element type */

typedef struct {
    G_NAME(gemm) g;                 /* the product of batch item 0 */
    const ml_array *a;              /* a, b, y */
    int lead;                       /* batch axes, after merging those that fold into M */
    int failed;
} G_NAME(batch);

static void G_NAME(matmul_items)(void *context, int64_t begin, int64_t end)
{
    const G_NAME(batch) *s = context;
    for (int64_t item = begin; item < end; item++) {
        G_NAME(gemm) g = s->g;
        int64_t rest = item;
        for (int d = s->lead - 1; d >= 0; d--) {
            int64_t size = s->a[2].shape[d], at = rest % size;
            rest /= size;
            g.a += at * (s->a[0].strides[d] / (int64_t)sizeof(G_T));
            g.b += at * (s->a[1].strides[d] / (int64_t)sizeof(G_T));
            g.c += at * (s->a[2].strides[d] / (int64_t)sizeof(G_T));
        }
        if (G_NAME(gemm_run)(&g))
            ((G_NAME(batch) *)context)->failed = 1;
    }
}

/* y[..., i, j] = sum_p a[..., i, p] * b[..., p, j]; batch axes equal, any strides */
static int G_NAME(matmul)(const ml_array *a, const matmul_settings *settings)
{
    const int nd = a[2].ndim;
    if (nd < 2 || a[0].ndim != nd || a[1].ndim != nd)
        return ML_BAD_SHAPE;
    if (a[0].dtype != a[2].dtype || a[1].dtype != a[2].dtype)
        return ML_BAD_DTYPE;
    const int64_t size = sizeof(G_T);
    G_NAME(batch) s = {.a = a, .lead = nd - 2};
    G_NAME(gemm) *g = &s.g;
    g->m = a[2].shape[nd - 2], g->n = a[2].shape[nd - 1], g->k = a[0].shape[nd - 1];
    g->a = (const G_T *)a[0].data, g->rsa = a[0].strides[nd - 2] / size, g->csa = a[0].strides[nd - 1] / size;
    g->b = (const G_T *)a[1].data, g->rsb = a[1].strides[nd - 2] / size, g->csb = a[1].strides[nd - 1] / size;
    g->c = (G_T *)a[2].data, g->rsc = a[2].strides[nd - 2] / size, g->csc = a[2].strides[nd - 1] / size;
    g->accumulate = settings->accumulate;
    if (a[0].shape[nd - 2] != g->m || a[1].shape[nd - 1] != g->n || a[1].shape[nd - 2] != g->k)
        return ML_BAD_SHAPE;
    int64_t items = 1;
    for (int d = 0; d < nd - 2; d++) {
        if (a[0].shape[d] != a[2].shape[d] || a[1].shape[d] != a[2].shape[d])
            return ML_BAD_SHAPE;
        items *= a[2].shape[d];
    }
    if (a[2].size == 0)
        return ML_OK;
    /* A batch axis over one shared b, laid out like more rows of a and y, is more rows: (B, M, K) (K, N). */
    while (s.lead > 0) {
        int d = s.lead - 1;
        int64_t count = a[2].shape[d];
        if (count != 1 && (a[1].strides[d] != 0 || a[0].strides[d] != g->m * g->rsa * size ||
                           a[2].strides[d] != g->m * g->rsc * size))
            break;
        if (count != 1)
            g->m *= count;
        items /= count;
        s.lead--;
    }
    const double flops = 2.0 * g->m * g->n * (double)ml_max(g->k, 1);
    if (items == 1)
        return G_NAME(gemm_run)(g);
    if (flops > 32e6 || items == 1) /* large products one by one, each on all threads */
        G_NAME(matmul_items)(&s, 0, items);
    else
        ml_rt->parallel_for(G_NAME(matmul_items), &s, items, gemm_grain(flops, items));
    return s.failed ? ML_NO_MEMORY : ML_OK;
}

/* y[i, j] = act(sum_p x[i, p] * w[j, p] + b[j]) */
static int G_NAME(linear)(const ml_array *a, const matmul_settings *settings)
{
    if (a[0].ndim != 2 || a[1].ndim != 2 || a[3].ndim != 2 || (a[2].data && a[2].ndim != 1))
        return ML_BAD_SHAPE;
    if (a[0].dtype != a[3].dtype || a[1].dtype != a[3].dtype || (a[2].data && a[2].dtype != a[3].dtype))
        return ML_BAD_DTYPE;
    const int64_t size = sizeof(G_T);
    G_NAME(gemm) g = {.m = a[3].shape[0], .n = a[3].shape[1], .k = a[0].shape[1]};
    if (a[0].shape[0] != g.m || a[1].shape[0] != g.n || a[1].shape[1] != g.k || (a[2].data && a[2].shape[0] != g.n))
        return ML_BAD_SHAPE;
    g.a = (const G_T *)a[0].data, g.rsa = a[0].strides[0] / size, g.csa = a[0].strides[1] / size;
    g.b = (const G_T *)a[1].data, g.rsb = a[1].strides[1] / size, g.csb = a[1].strides[0] / size;
    g.c = (G_T *)a[3].data, g.rsc = a[3].strides[0] / size, g.csc = a[3].strides[1] / size;
    g.accumulate = settings->accumulate;
    g.end.activation = settings->activation == ML_LINEAR_RELU ? GEMM_RELU : GEMM_NONE;
    if (a[2].data) {
        g.end.col_bias = (const G_T *)a[2].data;
        g.end.bias_step = a[2].strides[0] / size;
    }
    return G_NAME(gemm_run)(&g);
}

#endif
