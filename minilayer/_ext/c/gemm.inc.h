/* Matrix multiplication for matmul and conv: C = act(A B + bias), float32 and float64 from this one source.

   The plan is BLIS's (Van Zee and van de Geijn 2015), with one change. A micro-kernel keeps a tile of
   mr x nv*G_VL sums in registers and walks down K: it loads nv vectors of B and multiplies them by mr
   scalars of A. All the rest is bringing A and B into the order in which it reads them:

        B, packed: panels of G_NR columns          A, packed: rows of G_PITCH elements

        p=0  [ b b b b | b b b b ]                 i=0  [ a a a a ... K block ... | gap ]
        p=1  [ b b b b | b b b b ]                 i=1  [ a a a a ...             | gap ]
         .         nv vectors                       .   scalar a(i, p) sits at i * G_PITCH + p

   BLIS interleaves the rows of A; here they stay rows, a fixed distance apart. The kernel reads them from
   one base register with constant offsets all the same, packing A is a copy, and a panel of any number of
   rows may start at any row, so M = 32 is 11 + 11 + 10 rows rather than 14 + 14 + 4. The gap of one
   cache line keeps the rows of a panel out of each other's cache sets.

   Transposed, strided and im2col operands differ only in how they are packed. B is read in place where its
   rows are contiguous and few rows of A will use it, since then packing costs more than it saves.

   A product may also run as its transpose, C^T = B^T A^T (gemm_prefer_transpose): which of the two operands
   lies along the vectors decides what must be transposed while packing, and how many lanes are padding.

   The sums over K run in blocks of G_KC, each from 0 upwards, added to C in order; blocks, tiles and tasks
   depend on the shape alone, so results do not depend on the number of threads.

   Scratch slots: GEMM_SLOT_B is the calling thread's packed B, which its workers read; GEMM_SLOT_A is packed A, the
   calling thread's too where several tasks use the same rows, else each worker's. Slots 2 and 3 are the callers'.

   The file includes itself once an element type, with G_T set, and then GEMM_USER, the caller's own loops
   for that type; `G_NAME(f)` is f for this type and instruction set. */

#ifndef G_T

#define GEMM_SLOT_B 0
#define GEMM_SLOT_A 1

#ifndef GEMM_ONCE
#define GEMM_ONCE
/* A piece of a loop has about this many floating-point operations at least: less takes as long as handing it over. */
#define GEMM_TASK_FLOPS 250000.0
/* A loop of fewer in all stays on one thread: what another core has written comes from there at a few GB/s. (On two cores
   the step of a 64-128-64-10 network took 0.13 ms with its products shared out, 0.05 ms with none.) */
#define GEMM_SHARED_FLOPS 2000000.0
/* The grain of a loop over items of so many operations each. */
static inline int64_t gemm_grain(double flops, int64_t items)
{
    return flops * (double)items < GEMM_SHARED_FLOPS ? ml_max(items, 1) : (int64_t)(GEMM_TASK_FLOPS / (flops + 1000)) + 1;
}
enum { GEMM_NONE, GEMM_RELU };      /* activations of the epilogue */
/* A kernel's entry, of a GEMM_USER that has it as <entry>_f32 and <entry>_f64: the dtype of array y chooses. */
#define GEMM_ENTRY(entry, y)                                            \
    static int ML_NAME(entry)(const ml_array *a, const void *settings)  \
    {                                                                   \
        switch (a[y].dtype) {                                           \
        case ML_F32: return ML_NAME(entry##_f32)(a, settings);          \
        case ML_F64: return ML_NAME(entry##_f64)(a, settings);          \
        }                                                               \
        return ML_BAD_DTYPE;                                            \
    }
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
#define GEMM_SHUFFLE2(a, b, i, j) __builtin_shufflevector(a, b, i, j)
#define GEMM_SHUFFLE4(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define GEMM_SHUFFLE2(a, b, i, j) __builtin_shuffle(a, b, (__typeof__((a) < (a))){i, j})
#define GEMM_SHUFFLE4(a, b, i, j, k, l) __builtin_shuffle(a, b, (__typeof__((a) < (a))){i, j, k, l})
#endif
#endif

#if ML_VECTOR_BYTES == 64
#define G_MR 14                     /* 28 sums + 2 of B + 1 scalar of A: 31 of 32 registers */
#elif ML_VECTOR_BYTES == 32
#define G_MR 6                      /* 12 + 2 + 1 of 16 */
#elif defined(__aarch64__)
#define G_MR 12
#else
#define G_MR 4                      /* no fused multiply-add: one more register for the product */
#endif
#define G_MC 128                    /* rows of A a task packs at most: 200 KB, in the second-level cache */
#define G_THIN_ROWS 6               /* up to so many rows of C go without packing (3 where B is row-major), */
#define G_THIN_COLS 256             /* so many columns at a time */
#define G_NC 4096                   /* columns of B packed at a time: 6 MB, in the third-level cache */

#define G_T float
#define G_V vf
#define G_MASK vi
#define G_VL ML_VF
#define G_KC 384
#define G_LOAD vf_load
#define G_STORE vf_store
#define G_SET vf_set
#define G_FMA vf_fma
#define G_SELECT vf_select
#define G_NAME(f) ML_NAME(f##_f32)
#include "gemm.inc.h"
#include GEMM_USER
#undef G_T
#undef G_V
#undef G_MASK
#undef G_VL
#undef G_KC
#undef G_LOAD
#undef G_STORE
#undef G_SET
#undef G_FMA
#undef G_SELECT
#undef G_NAME

#define G_T double
#define G_V vd
#define G_MASK vl
#define G_VL ML_VD
#define G_KC 256
#define G_LOAD vd_load
#define G_STORE vd_store
#define G_SET vd_set
#define G_FMA vd_fma
#define G_SELECT vd_select
#define G_NAME(f) ML_NAME(f##_f64)
#define G_DOUBLE
#include "gemm.inc.h"
#include GEMM_USER
#undef G_T
#undef G_V
#undef G_MASK
#undef G_VL
#undef G_KC
#undef G_LOAD
#undef G_STORE
#undef G_SET
#undef G_FMA
#undef G_SELECT
#undef G_NAME
#undef G_DOUBLE

#undef G_MR
#undef G_MC
#undef G_THIN_ROWS
#undef G_THIN_COLS
#undef G_NC

#else /* G_T is set: the source itself */

#undef G_NR
#undef G_PITCH
#define G_NR (2 * G_VL)
#define G_PITCH (G_KC + 64 / (int)sizeof(G_T))

/* ---- part of a vector: the first n lanes, 0 < n < G_VL ---- */

ML_INLINE G_V G_NAME(load_part)(const G_T *p, int n)
{
#if ML_VECTOR_BYTES == 64 && !defined(G_DOUBLE)
    return (G_V)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif ML_VECTOR_BYTES == 64
    return (G_V)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#else
    G_T t[G_VL] = {0};
    for (int i = 0; i < n; i++)
        t[i] = p[i];
    return G_LOAD(t);
#endif
}

ML_INLINE void G_NAME(store_part)(G_T *p, G_V v, int n)
{
#if ML_VECTOR_BYTES == 64 && !defined(G_DOUBLE)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif ML_VECTOR_BYTES == 64
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
#else
    G_T t[G_VL];
    G_STORE(t, v);
    for (int i = 0; i < n; i++)
        p[i] = t[i];
#endif
}

/* ---- the micro-kernel and its epilogue ---- */

/* What happens to a finished sum: act(sum + bias). The bias of row i is row_bias[i * bias_step], of column j
   col_bias[j * bias_step]; at most one of them is set. */
typedef struct {
    const G_T *row_bias, *col_bias;
    int64_t bias_step;
    int activation;
} G_NAME(epilogue);

/* relu(NaN) is NaN and relu(-0) is 0 */
ML_INLINE G_V G_NAME(activate)(G_V v, int activation)
{
    return activation == GEMM_RELU ? G_SELECT((G_MASK)(v <= G_SET(0)), G_SET(0), v) : v;
}

/* c[i, j] = act((accumulate ? c[i, j] : 0) + sum_p a[i * G_PITCH + p] * b[p * ldb + j] + bias)

   for i < mr, j < nv * G_VL, p < k; e is NULL for the bare sum, and its col_bias is contiguous here. Every loop over
   the sums must be unrolled completely, or they live in memory and not in registers. */
ML_INLINE void G_NAME(micro)(const int mr, const int nv, int64_t k, const G_T *restrict a, const G_T *restrict b,
                             int64_t ldb, G_T *restrict c, int64_t ldc, int accumulate, const G_NAME(epilogue) *e)
{
    G_V r[G_MR][2];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
        __builtin_prefetch(c + i * ldc, 1);
        r[i][0] = G_SET(0);
        r[i][1] = G_SET(0);
    }
#pragma GCC unroll 1
    for (int64_t p = 0; p < k; p++) {
        G_V b0 = G_LOAD(b), b1 = nv > 1 ? G_LOAD(b + G_VL) : b0;
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            G_V x = G_SET(a[i * G_PITCH]);
            r[i][0] = G_FMA(x, b0, r[i][0]);
            if (nv > 1)
                r[i][1] = G_FMA(x, b1, r[i][1]);
        }
        a++;
        b += ldb;
    }
    __asm__("" : "+r"(c), "+r"(ldc));               /* or the row addresses are kept through the loop, on the stack */
    if (accumulate) {
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            r[i][0] = G_LOAD(c + i * ldc) + r[i][0];
            if (nv > 1)
                r[i][1] = G_LOAD(c + i * ldc + G_VL) + r[i][1];
        }
    }
    if (e) {
        if (e->row_bias) {
#pragma GCC unroll 16
            for (int i = 0; i < mr; i++) {
                G_V bias = G_SET(e->row_bias[i * e->bias_step]);
                r[i][0] += bias;
                r[i][1] += bias;
            }
        }
        if (e->col_bias) {
            G_V bias0 = G_LOAD(e->col_bias), bias1 = nv > 1 ? G_LOAD(e->col_bias + G_VL) : bias0;
#pragma GCC unroll 16
            for (int i = 0; i < mr; i++) {
                r[i][0] += bias0;
                r[i][1] += bias1;
            }
        }
        if (e->activation) {
#pragma GCC unroll 16
            for (int i = 0; i < mr; i++) {
                r[i][0] = G_NAME(activate)(r[i][0], e->activation);
                r[i][1] = G_NAME(activate)(r[i][1], e->activation);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
        G_STORE(c + i * ldc, r[i][0]);
        if (nv > 1)
            G_STORE(c + i * ldc + G_VL, r[i][1]);
    }
}

typedef void (*G_NAME(micro_fn))(int64_t k, const G_T *a, const G_T *b, int64_t ldb, G_T *c, int64_t ldc,
                                 int accumulate, const G_NAME(epilogue) *e);

#define G_MICRO(MR, NV)                                                                                              \
    static void G_NAME(micro_##MR##_##NV)(int64_t k, const G_T *a, const G_T *b, int64_t ldb, G_T *c, int64_t ldc,   \
                                          int accumulate, const G_NAME(epilogue) *e)                                 \
    {                                                                                                                \
        G_NAME(micro)(MR, NV, k, a, b, ldb, c, ldc, accumulate, e);                                                  \
    }
#define G_MICRO_BOTH(MR) G_MICRO(MR, 1) G_MICRO(MR, 2)
G_MICRO_BOTH(1) G_MICRO_BOTH(2) G_MICRO_BOTH(3) G_MICRO_BOTH(4)
#if G_MR > 4
G_MICRO_BOTH(5) G_MICRO_BOTH(6)
#endif
#if G_MR > 6
G_MICRO_BOTH(7) G_MICRO_BOTH(8) G_MICRO_BOTH(9) G_MICRO_BOTH(10) G_MICRO_BOTH(11) G_MICRO_BOTH(12)
#endif
#if G_MR > 12
G_MICRO_BOTH(13) G_MICRO_BOTH(14)
#endif

/* micros[nv - 1][mr - 1] */
static const G_NAME(micro_fn) G_NAME(micros)[2][G_MR] = {
#define G_ROW(MR) G_NAME(micro_##MR##_1),
#define G_ROWS G_ROW(1) G_ROW(2) G_ROW(3) G_ROW(4) G_ROWS6 G_ROWS12 G_ROWS14
#if G_MR > 4
#define G_ROWS6 G_ROW(5) G_ROW(6)
#else
#define G_ROWS6
#endif
#if G_MR > 6
#define G_ROWS12 G_ROW(7) G_ROW(8) G_ROW(9) G_ROW(10) G_ROW(11) G_ROW(12)
#else
#define G_ROWS12
#endif
#if G_MR > 12
#define G_ROWS14 G_ROW(13) G_ROW(14)
#else
#define G_ROWS14
#endif
    {G_ROWS},
#undef G_ROW
#define G_ROW(MR) G_NAME(micro_##MR##_2),
    {G_ROWS},
#undef G_ROW
};
#undef G_ROWS
#undef G_ROWS6
#undef G_ROWS12
#undef G_ROWS14
#undef G_MICRO
#undef G_MICRO_BOTH

/* ---- packing ---- */

/* dst[j * ldd + i] = src[i * lds + j]   for i < rows, j < cols, in 4x4 (float64: 2x2) blocks of 16-byte vectors.
   Short rows are read whole, one after the other; of long ones a cache line each, so that dst stays cached too. */
static void G_NAME(transpose)(G_T *restrict dst, int64_t ldd, const G_T *restrict src, int64_t lds, int64_t rows,
                              int64_t cols)
{
    enum { Q = 16 / sizeof(G_T), LINE = 64 / sizeof(G_T) };
    typedef G_T quad __attribute__((vector_size(16)));
    const int64_t full = rows / Q * Q, run = cols <= 128 ? 128 : LINE;
    for (int64_t jb = 0; jb < cols; jb += run) {
        int64_t je = ml_min(jb + run, cols), jf = jb + (je - jb) / Q * Q;
        for (int64_t i = 0; i < full; i += Q) {
            const G_T *s = src + i * lds + jb;
            G_T *d = dst + jb * ldd + i;
            for (int64_t j = jb; j < jf; j += Q, s += Q, d += Q * ldd) {
                quad r[Q], o[Q];
#pragma GCC unroll 4
                for (int q = 0; q < Q; q++)
                    memcpy(&r[q], s + q * lds, 16);
                if (j == jb)                            /* too many rows for the processor to foresee */
#pragma GCC unroll 4
                    for (int q = 0; q < Q; q++)
                        __builtin_prefetch(s + q * lds + LINE);
#ifdef G_DOUBLE
                o[0] = GEMM_SHUFFLE2(r[0], r[1], 0, 2);
                o[1] = GEMM_SHUFFLE2(r[0], r[1], 1, 3);
#else
                quad t0 = GEMM_SHUFFLE4(r[0], r[1], 0, 4, 1, 5), t1 = GEMM_SHUFFLE4(r[0], r[1], 2, 6, 3, 7);
                quad t2 = GEMM_SHUFFLE4(r[2], r[3], 0, 4, 1, 5), t3 = GEMM_SHUFFLE4(r[2], r[3], 2, 6, 3, 7);
                o[0] = GEMM_SHUFFLE4(t0, t2, 0, 1, 4, 5);
                o[1] = GEMM_SHUFFLE4(t0, t2, 2, 3, 6, 7);
                o[2] = GEMM_SHUFFLE4(t1, t3, 0, 1, 4, 5);
                o[3] = GEMM_SHUFFLE4(t1, t3, 2, 3, 6, 7);
#endif
#pragma GCC unroll 4
                for (int q = 0; q < Q; q++)
                    memcpy(d + q * ldd, &o[q], 16);
            }
            for (int64_t j = jf; j < je; j++)
                for (int64_t q = i; q < i + Q; q++)
                    dst[j * ldd + q] = src[q * lds + j];
        }
        for (int64_t i = full; i < rows; i++)
            for (int64_t j = jb; j < je; j++)
                dst[j * ldd + i] = src[i * lds + j];
    }
}

/* dst[i * G_PITCH + p] = a[i * rs + p * cs]   for i < m, p < k */
static void G_NAME(pack_a)(G_T *restrict dst, const G_T *restrict a, int64_t rs, int64_t cs, int64_t m, int64_t k)
{
    if (cs == 1)
        for (int64_t i = 0; i < m; i++)
            memcpy(dst + i * G_PITCH, a + i * rs, (size_t)k * sizeof(G_T));
    else if (rs == 1)
        G_NAME(transpose)(dst, G_PITCH, a, cs, k, m);
    else
        for (int64_t i = 0; i < m; i++)
            for (int64_t p = 0; p < k; p++)
                dst[i * G_PITCH + p] = a[i * rs + p * cs];
}

/* One panel: dst[p * ld + j] = b[p * rs + j * cs] for p < k, j < n; zero for n <= j < ld (ld is G_VL or G_NR). */
static void G_NAME(pack_b)(G_T *restrict dst, int ld, const G_T *restrict b, int64_t rs, int64_t cs, int64_t k, int n)
{
    if (cs == 1) {
        int part = n % G_VL, whole = n - part;          /* whole: 0, G_VL or G_NR */
        for (int64_t p = 0; p < k; p++) {
            for (int j = 0; j < whole; j += G_VL)
                G_STORE(dst + p * ld + j, G_LOAD(b + p * rs + j));
            if (part)
                G_STORE(dst + p * ld + whole, G_NAME(load_part)(b + p * rs + whole, part));
        }
        return;
    }
    if (rs == 1)
        G_NAME(transpose)(dst, ld, b, cs, n, k);
    else
        for (int64_t p = 0; p < k; p++)
            for (int j = 0; j < n; j++)
                dst[p * ld + j] = b[p * rs + j * cs];
    if (n < ld)
        for (int64_t p = 0; p < k; p++)
            for (int j = n; j < ld; j++)
                dst[p * ld + j] = 0;
}

/* ---- tiles ---- */

/* c[i, j] = act((accumulate ? c[i, j] : 0) + t[i, j] + bias) for i < m, j < n: rows of c contiguous, t a whole tile */
static void G_NAME(finish)(const G_T *t, int64_t ldt, G_T *c, int64_t ldc, int m, int n, int accumulate,
                           const G_NAME(epilogue) *e)
{
    const int part = n % G_VL;
    for (int j = 0; j < n; j += G_VL) {
        const int lanes = n - j < G_VL ? part : G_VL;
        G_V bias = G_SET(0);
        if (e->col_bias) {
            G_T s[G_VL] = {0};
            for (int q = 0; q < lanes; q++)
                s[q] = e->col_bias[(j + q) * e->bias_step];
            bias = G_LOAD(s);
        }
        for (int i = 0; i < m; i++) {
            G_V v = G_LOAD(t + i * ldt + j);
            G_T *d = c + i * ldc + j;
            if (accumulate)
                v = (lanes < G_VL ? G_NAME(load_part)(d, lanes) : G_LOAD(d)) + v;
            if (e->row_bias)
                v += G_SET(e->row_bias[i * e->bias_step]);
            if (e->col_bias)
                v += bias;
            v = G_NAME(activate)(v, e->activation);
            if (lanes < G_VL)
                G_NAME(store_part)(d, v, lanes);
            else
                G_STORE(d, v);
        }
    }
}

/* The same for row i alone, with any distance between its elements; through a contiguous copy, so that the arithmetic
   is the same. */
static void G_NAME(finish_row)(const G_T *t, G_T *c, int64_t csc, int i, int n, int accumulate,
                               const G_NAME(epilogue) *e)
{
    G_NAME(epilogue) f = *e;
    G_T row[G_THIN_COLS] __attribute__((aligned(64)));
    if (f.row_bias)
        f.row_bias += i * e->bias_step;
    if (accumulate)
        for (int j = 0; j < n; j++)
            row[j] = c[j * csc];
    G_NAME(finish)(t, 0, row, 0, 1, n, accumulate, &f);
    for (int j = 0; j < n; j++)
        c[j * csc] = row[j];
}

/* One tile: c[i * rsc + j * csc] for i < m, j < n gets the product of a packed panel of A and a panel of B. */
static void G_NAME(tile)(int64_t k, const G_T *a, const G_T *b, int64_t ldb, G_T *c, int64_t rsc, int64_t csc, int m,
                         int n, int accumulate, const G_NAME(epilogue) *e)
{
    const int nv = n > G_VL ? 2 : 1;
    G_NAME(micro_fn) micro = G_NAME(micros)[nv - 1][m - 1];
    if (csc == 1 && n == nv * G_VL && (!e->col_bias || e->bias_step == 1)) {
        const int bare = !e->row_bias && !e->col_bias && !e->activation;
        micro(k, a, b, ldb, c, rsc, accumulate, bare ? NULL : e);
        return;
    }
    G_T t[(G_MR + 2) * G_NR] __attribute__((aligned(64)));
    micro(k, a, b, ldb, t, G_NR, 0, NULL);
    if (csc == 1) {
        G_NAME(finish)(t, G_NR, c, rsc, m, n, accumulate, e);
    } else if (rsc == 1) {
        /* the transposed tile has contiguous rows; row and column bias change places */
        enum { LD = 16 };
        G_T u[G_NR * LD + G_VL] __attribute__((aligned(64)));
        G_NAME(epilogue) f = {e->col_bias, e->row_bias, e->bias_step, e->activation};
        G_NAME(transpose)(u, LD, t, G_NR, m, n);
        G_NAME(finish)(u, LD, c, csc, n, m, accumulate, &f);
    } else {
        for (int i = 0; i < m; i++)
            G_NAME(finish_row)(t + i * G_NR, c + i * rsc, csc, i, n, accumulate, e);
    }
}

/* ---- the product ---- */

typedef struct {
    int64_t m, n, k;
    const G_T *a;
    int64_t rsa, csa;               /* strides in elements, of any sign */
    const G_T *b;
    int64_t rsb, csb;
    G_T *c;
    int64_t rsc, csc;
    int accumulate;
    G_NAME(epilogue) end;

    /* the step in hand: columns [j0, j0 + nb) and terms [k0, k0 + kb) */
    int64_t j0, nb, k0, kb;
    int64_t mc, nc, blocks_n;       /* a task is mc x nc of C; task t is block (t / blocks_n, t % blocks_n) */
    int direct;                     /* whole panels of B are read in place */
    G_T *pa;                        /* packed A, where several tasks use the same rows; else each packs its own */
    G_T *pb;
    int failed;
} G_NAME(gemm);

static void G_NAME(gemm_pack_a)(void *context, int64_t begin, int64_t end)
{
    G_NAME(gemm) *g = context;
    G_NAME(pack_a)(g->pa + begin * G_PITCH, g->a + begin * g->rsa + g->k0 * g->csa, g->rsa, g->csa, end - begin, g->kb);
}

static void G_NAME(gemm_pack_b)(void *context, int64_t begin, int64_t end)
{
    G_NAME(gemm) *g = context;
    const int64_t whole = ml_min(end, g->nb / G_NR);
    if (g->csb == 1 && !g->direct && whole > begin) {
        /* whole panels of a row-major B: row by row through all of them, as memory likes to be read */
        const G_T *b = g->b + g->k0 * g->rsb + g->j0 + begin * G_NR;
        G_T *d = g->pb + begin * G_NR * g->kb;
        for (int64_t p = 0; p < g->kb; p++, b += g->rsb, d += G_NR)
            for (int64_t q = 0; q < whole - begin; q++) {
                G_STORE(d + q * G_NR * g->kb, G_LOAD(b + q * G_NR));
                G_STORE(d + q * G_NR * g->kb + G_VL, G_LOAD(b + q * G_NR + G_VL));
            }
        begin = whole;
    }
    for (int64_t panel = begin; panel < end; panel++) {
        int64_t j = panel * G_NR;
        int n = (int)ml_min(G_NR, g->nb - j);
        if (g->direct && (n == G_NR || n == G_VL))
            continue;
        G_NAME(pack_b)(g->pb + (g->direct ? 0 : j * g->kb), n > G_VL ? G_NR : G_VL,
                       g->b + g->k0 * g->rsb + (g->j0 + j) * g->csb, g->rsb, g->csb, g->kb, n);
    }
}

static void G_NAME(gemm_blocks)(void *context, int64_t begin, int64_t end)
{
    G_NAME(gemm) *g = context;
    G_T *own = NULL;
    if (!g->pa) {
        own = ml_rt->scratch(GEMM_SLOT_A, (size_t)G_MC * G_PITCH * sizeof(G_T));
        if (!own) {
            g->failed = 1;
            return;
        }
    }
    const int last = g->k0 + g->kb == g->k, accumulate = g->accumulate || g->k0;
    for (int64_t t = begin; t < end; t++) {
        int64_t block = t / g->blocks_n, i0 = block * g->mc, m = ml_min(g->mc, g->m - i0);
        int64_t first = t % g->blocks_n * g->nc, stop = ml_min(first + g->nc, g->nb);
        int64_t panels = ml_ceil_div(m, G_MR);
        if (own)
            G_NAME(pack_a)(own, g->a + i0 * g->rsa + g->k0 * g->csa, g->rsa, g->csa, m, g->kb);
        const G_T *pa = own ? own : g->pa + i0 * G_PITCH;
        for (int64_t j = first; j < stop; j += G_NR) {
            int n = (int)ml_min(G_NR, g->nb - j);
            const G_T *b;
            int64_t ldb;
            if (g->direct && (n == G_NR || n == G_VL)) {
                b = g->b + g->k0 * g->rsb + g->j0 + j;
                ldb = g->rsb;
            } else {
                b = g->pb + (g->direct ? 0 : j * g->kb);
                ldb = n > G_VL ? G_NR : G_VL;
            }
            for (int64_t q = 0; q < panels; q++) {
                int64_t i = q * m / panels, next = (q + 1) * m / panels;
                G_NAME(epilogue) e = {0};
                if (last) {
                    e = g->end;
                    if (e.row_bias)
                        e.row_bias += (i0 + i) * e.bias_step;
                    if (e.col_bias)
                        e.col_bias += (g->j0 + j) * e.bias_step;
                }
                G_NAME(tile)(g->kb, pa + i * G_PITCH, b, ldb, g->c + (i0 + i) * g->rsc + (g->j0 + j) * g->csc, g->rsc,
                             g->csc, (int)(next - i), n, accumulate, &e);
            }
        }
    }
}

/* ---- few rows: a vector times a matrix ----

   Packing B would cost more than multiplying by it. Where its rows are contiguous, y += x[p] * (row p), eight rows at
   a time; where its columns are, y[j] = x . (column j), four columns at a time. */

static int G_NAME(gemm_is_thin)(const G_NAME(gemm) *g)
{
    return g->csb == 1 ? g->m <= 3 : g->rsb == 1 && g->csa == 1 && g->m <= G_THIN_ROWS;
}

/* t[j] += sum_(q < count) x[q] * b[q * rs + j]   for j < n */
ML_INLINE void G_NAME(add_rows)(G_T *restrict t, const G_T *x, const G_T *restrict b, int64_t rs, int n,
                                const int count)
{
    for (int j = 0; j < n; j += G_VL) {
        G_V v = G_LOAD(t + j);
        if (n - j >= G_VL)
#pragma GCC unroll 8
            for (int q = 0; q < count; q++)
                v = G_FMA(G_SET(x[q]), G_LOAD(b + q * rs + j), v);
        else
            for (int q = 0; q < count; q++)
                v = G_FMA(G_SET(x[q]), G_NAME(load_part)(b + q * rs + j, n - j), v);
        G_STORE(t + j, v);
    }
}

/* t[q] = sum_p x[p] * b[q * cs + p]   for q < count */
ML_INLINE void G_NAME(dot_columns)(G_T *t, const G_T *x, const G_T *b, int64_t cs, int64_t k, const int count)
{
    G_V r[4];
#pragma GCC unroll 4
    for (int q = 0; q < count; q++)
        r[q] = G_SET(0);
    int64_t p = 0;
    for (; p + G_VL <= k; p += G_VL) {
        G_V v = G_LOAD(x + p);
#pragma GCC unroll 4
        for (int q = 0; q < count; q++)
            r[q] = G_FMA(v, G_LOAD(b + q * cs + p), r[q]);
    }
    if (p < k) {
        G_V v = G_NAME(load_part)(x + p, (int)(k - p));
#pragma GCC unroll 4
        for (int q = 0; q < count; q++)
            r[q] = G_FMA(v, G_NAME(load_part)(b + q * cs + p, (int)(k - p)), r[q]);
    }
    for (int q = 0; q < count; q++) {
        G_T lanes[G_VL];
        G_STORE(lanes, r[q]);
        for (int half = G_VL / 2; half; half /= 2)
            for (int i = 0; i < half; i++)
                lanes[i] += lanes[i + half];
        t[q] = lanes[0];
    }
}

static void G_NAME(gemm_thin)(void *context, int64_t begin, int64_t end)
{
    const G_NAME(gemm) *g = context;
    G_T t[G_THIN_ROWS][G_THIN_COLS] __attribute__((aligned(64)));
    for (int64_t j0 = begin * G_THIN_COLS; j0 < ml_min(end * G_THIN_COLS, g->n); j0 += G_THIN_COLS) {
        const int n = (int)ml_min(G_THIN_COLS, g->n - j0), m = (int)g->m;
        const G_T *b = g->b + j0 * g->csb;
        if (g->csb == 1) {
            for (int i = 0; i < m; i++)
                memset(t[i], 0, (size_t)ml_ceil_div(n, G_VL) * G_VL * sizeof(G_T));
            for (int64_t p = 0; p < g->k; p += 8)
                for (int i = 0; i < m; i++) {
                    const int count = (int)ml_min(8, g->k - p);
                    G_T x[8];
                    for (int q = 0; q < count; q++)
                        x[q] = g->a[i * g->rsa + (p + q) * g->csa];
                    if (count == 8)
                        G_NAME(add_rows)(t[i], x, b + p * g->rsb, g->rsb, n, 8);
                    else
                        for (int q = 0; q < count; q++)
                            G_NAME(add_rows)(t[i], x + q, b + (p + q) * g->rsb, g->rsb, n, 1);
                }
        } else {
            for (int j = 0; j < n; j += 4)
                for (int i = 0; i < m; i++)
                    if (n - j >= 4)
                        G_NAME(dot_columns)(t[i] + j, g->a + i * g->rsa, b + j * g->csb, g->csb, g->k, 4);
                    else
                        for (int q = j; q < n; q++)
                            G_NAME(dot_columns)(t[i] + q, g->a + i * g->rsa, b + q * g->csb, g->csb, g->k, 1);
        }
        G_NAME(epilogue) e = g->end;
        if (e.col_bias)
            e.col_bias += j0 * e.bias_step;
        G_T *c = g->c + j0 * g->csc;
        if (g->csc == 1)
            G_NAME(finish)(t[0], G_THIN_COLS, c, g->rsc, m, n, g->accumulate, &e);
        else
            for (int i = 0; i < m; i++)
                G_NAME(finish_row)(t[i], c + i * g->rsc, g->csc, i, n, g->accumulate, &e);
    }
}

/* Cycles, roughly, that a product spends outside its multiplications, and on padded lanes. Measured weights. */
static double G_NAME(gemm_cost)(const G_NAME(gemm) *g)
{
    double mk = (double)g->m * g->k, kn = (double)g->k * g->n, mn = (double)g->m * g->n;
    double pack_a = g->csa == 1 ? 0.1 : g->rsa == 1 ? 0.35 : 1.2;
    double pack_b = g->csb == 1 ? (g->m <= 2 * G_MR ? 0 : 0.1) : g->rsb == 1 ? 0.35 : 1.2;
    double store = g->csc == 1 ? 0.1 : g->rsc == 1 ? 0.6 : 1.5;
    double lanes = (double)ml_ceil_div(g->n, G_VL) * g->m * g->k;
    /* fewer than 4 sums in flight wait for each other */
    double stall = g->m * (g->n > G_VL ? 2 : 1) < 4 ? 2 : 1;
    return pack_a * mk + pack_b * kn + store * mn + lanes * stall;
}

static void G_NAME(gemm_transpose)(G_NAME(gemm) *g)
{
    G_NAME(gemm) h = *g;
    g->m = h.n, g->n = h.m;
    g->a = h.b, g->rsa = h.csb, g->csa = h.rsb;
    g->b = h.a, g->rsb = h.csa, g->csb = h.rsa;
    g->rsc = h.csc, g->csc = h.rsc;
    g->end.row_bias = h.end.col_bias, g->end.col_bias = h.end.row_bias;
}

/* C = act((accumulate ? C : 0) + A B + bias). Fill m .. end first. */
static int G_NAME(gemm_run)(G_NAME(gemm) *g)
{
    if (g->m <= 0 || g->n <= 0)
        return ML_OK;
    G_NAME(gemm) other = *g;
    G_NAME(gemm_transpose)(&other);
    if (G_NAME(gemm_is_thin)(&other) && !G_NAME(gemm_is_thin)(g))
        *g = other;
    if (G_NAME(gemm_is_thin)(g)) {
        const double piece = 4.0 * g->m * (double)(g->k + 1) * G_THIN_COLS;      /* (its additions wait for memory) */
        const int64_t pieces = ml_ceil_div(g->n, G_THIN_COLS);
        ml_rt->parallel_for(G_NAME(gemm_thin), g, pieces, gemm_grain(piece, pieces));
        return ML_OK;
    }
    if (G_NAME(gemm_cost)(&other) < G_NAME(gemm_cost)(g))
        *g = other;

    const int64_t steps = ml_max(1, ml_ceil_div(g->k, G_KC)), kc = ml_ceil_div(g->k, steps);
    const double flops = 2.0 * g->m * g->n * (double)kc;
    g->failed = 0;
    /* B in place: when few rows use it, or when its rows lie so close that a panel stays in the nearest cache. Rows a
       multiple of 1 KB apart share a few cache sets and push each other out, so there it pays less. */
    const int64_t apart = g->rsb < 0 ? -g->rsb : g->rsb;
    g->direct = g->csb == 1 && (g->m <= (apart * (int64_t)sizeof(G_T) % 1024 ? 4 : 2) * G_MR ||
                                kc * apart * (int64_t)sizeof(G_T) <= 32768);
    for (g->j0 = 0; g->j0 < g->n; g->j0 += g->nb) {
        g->nb = ml_min(G_NC, g->n - g->j0);
        const int64_t panels = ml_ceil_div(g->nb, G_NR);
        g->pb = NULL;
        if (!g->direct || g->nb % G_VL || (g->nb % G_NR && g->nb % G_NR != G_VL)) {
            g->pb = ml_rt->scratch(GEMM_SLOT_B, (size_t)ml_max(1, (g->direct ? 1 : panels) * G_NR * kc) * sizeof(G_T));
            if (!g->pb)
                return ML_NO_MEMORY;
        }
        /* Tasks: as large as the caches like, then halved until there are enough for many threads. */
        int64_t bm = ml_ceil_div(g->m, G_MC), bn = ml_ceil_div(panels, 512 / G_NR);
        while (bm * bn < 32 && flops / (double)(bm * bn) > 2 * GEMM_TASK_FLOPS) {
            if (panels >= 8 * bn)
                bn *= 2;
            else if (g->m >= 4 * G_MR * bm)
                bm *= 2;
            else if (panels >= 2 * bn)
                bn *= 2;
            else
                break;
        }
        g->mc = ml_ceil_div(g->m, bm);
        g->nc = ml_ceil_div(panels, bn) * G_NR;
        g->blocks_n = ml_ceil_div(g->nb, g->nc);
        const int64_t tasks = ml_ceil_div(g->m, g->mc) * g->blocks_n;
        const int64_t grain = gemm_grain(flops / (double)tasks, tasks);
        g->pa = NULL;
        if (g->blocks_n > 1 && g->m <= G_NC * 2) {
            g->pa = ml_rt->scratch(GEMM_SLOT_A, (size_t)ml_max(g->m, G_MC) * G_PITCH * sizeof(G_T));
            if (!g->pa)
                return ML_NO_MEMORY;
        }
        for (int64_t s = 0; s < steps; s++) {
            g->k0 = s * kc;
            g->kb = ml_min(kc, g->k - g->k0);
            /* (packed by the threads that will read it, mostly) */
            if (g->pa)
                ml_rt->parallel_for(G_NAME(gemm_pack_a), g, g->m, grain < tasks ? ml_max(16, 12288 / (kc + 1)) : g->m);
            if (g->pb) {
                if (g->direct)
                    G_NAME(gemm_pack_b)(g, panels - 1, panels);
                else
                    ml_rt->parallel_for(G_NAME(gemm_pack_b), g, panels,
                                        grain < tasks ? ml_max(1, 8192 / (kc * G_NR + 1)) : panels);
            }
            ml_rt->parallel_for(G_NAME(gemm_blocks), g, tasks, grain);
            if (g->failed)
                return ML_NO_MEMORY;
        }
    }
    return ML_OK;
}

#endif /* G_T */
