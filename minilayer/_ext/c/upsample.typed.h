/* The loops of the upsample family in one float type (real.h). A plane (H, W) is first resized along its columns, only
   those rows that somebody needs, into scratch memory (H, Q); then rows of the output are sums of whole rows of that. */

/* A row along its columns: to[q] = sum over l of weights[q,l] from[columns[q,l]]. */
ML_INLINE void ML_TYPED(resize_row)(const upsample_work *k, const real *restrict from, real *restrict to)
{
    const int64_t *place = k->columns;
    const real *w = (const real *)k->column_weights;
    if (!w && k->L == 1 && !k->holes) {
        for (int64_t q = 0; q < k->Q; q++)
            to[q] = from[place[q]];
    } else if (w && k->L == 2 && !k->holes) {
        for (int64_t q = 0; q < k->Q; q++)
            to[q] = w[2 * q] * from[place[2 * q]] + w[2 * q + 1] * from[place[2 * q + 1]];
    } else {
        for (int64_t q = 0; q < k->Q; q++) {
            real sum = 0;
            for (int64_t l = q * k->L; l < (q + 1) * k->L; l++)
                if (place[l] >= 0)
                    sum += w ? w[l] * from[place[l]] : from[place[l]];
            to[q] = sum;
        }
    }
}

static void ML_TYPED(resize_planes)(void *context, int64_t begin, int64_t end)
{
    upsample_work *k = context;
    int64_t H = k->H, W = k->W, P = k->P, Q = k->Q, K = k->K;
    const real *weights = (const real *)k->row_weights;
    real *wide = NULL;
    int64_t *made = NULL;               /* 1 + the plane whose row stands in `wide` */
    if (k->columns && k->rows) {
        made = ml_rt->scratch(1, (size_t)H * sizeof(int64_t));
        wide = ml_rt->scratch(0, (size_t)(H * Q) * sizeof(real));
        if (!wide || !made) {
            __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
            return;
        }
        memset(made, 0, (size_t)H * sizeof(int64_t));
    }
    for (int64_t n = begin; n < end; n++) {
        const real *x = (const real *)k->from + n * H * W;
        for (int64_t p = 0; p < P; p++) {
            real *y = (real *)k->to + (n * P + p) * Q;
            if (!k->rows) {
                ML_TYPED(resize_row)(k, x + p * W, y);
                continue;
            }
            const int64_t *rows = k->rows + p * K;
            const real *source = x;
            if (wide) {
                source = wide;
                for (int64_t j = 0; j < K; j++)
                    if (rows[j] >= 0 && made[rows[j]] != n + 1) {
                        ML_TYPED(resize_row)(k, x + rows[j] * W, wide + rows[j] * Q);
                        made[rows[j]] = n + 1;
                    }
            }
            if (K == 1 && !weights && rows[0] >= 0) {
                memcpy(y, source + rows[0] * Q, (size_t)Q * sizeof(real));
                continue;
            }
            for (int64_t q = 0; q < Q; q += RN) {
                rv sum = {0};
                for (int64_t j = 0; j < K; j++) {
                    if (rows[j] < 0)
                        continue;
                    rv v = rv_load_upto(source + rows[j] * Q + q, Q - q, 0);
                    sum = sum + (weights ? v * weights[p * K + j] : v);
                }
                rv_store_upto(y + q, Q - q, sum);
            }
        }
    }
}

/* The same ways back: rows of dy are added to the rows they came from, and those spread along their columns. */
static void ML_TYPED(resize_backward_planes)(void *context, int64_t begin, int64_t end)
{
    upsample_work *k = context;
    int64_t H = k->H, W = k->W, P = k->P, Q = k->Q, K = k->K, L = k->L;
    const real *row_weights = (const real *)k->row_weights, *column_weights = (const real *)k->column_weights;
    real *wide = NULL;
    if (k->columns && k->rows) {
        wide = ml_rt->scratch(0, (size_t)ml_max(1, H * Q) * sizeof(real));
        if (!wide) {
            __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
            return;
        }
    }
    for (int64_t n = begin; n < end; n++) {
        const real *dy = (const real *)k->from + n * P * Q, *narrow = dy;
        real *dx = (real *)k->to + n * H * W;
        if (k->rows) {
            real *sums = wide ? wide : dx;
            memset(sums, 0, (size_t)(H * Q) * sizeof(real));
            for (int64_t p = 0; p < P; p++)
                for (int64_t j = 0; j < K; j++) {
                    if (k->rows[p * K + j] < 0)
                        continue;
                    real *restrict to = sums + k->rows[p * K + j] * Q;
                    const real *restrict from = dy + p * Q;
                    real w = row_weights ? row_weights[p * K + j] : 1;
                    for (int64_t q = 0; q < Q; q++)
                        to[q] += w * from[q];
                }
            narrow = sums;
        }
        if (!k->columns)
            continue;
        memset(dx, 0, (size_t)(H * W) * sizeof(real));
        for (int64_t h = 0; h < H; h++)
            for (int64_t q = 0; q < Q; q++)
                for (int64_t l = q * L; l < (q + 1) * L; l++)
                    if (k->columns[l] >= 0)
                        dx[h * W + k->columns[l]] += (column_weights ? column_weights[l] : 1) * narrow[h * Q + q];
    }
}
