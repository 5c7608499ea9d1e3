/* One pass over all parameters. The arrays of a list are taken as one long row of values, which is
   cut into equal pieces for the threads, so that ten biases cost no more than ten values.

   The loops are written a value at a time and left to the compiler's vectoriser: division and
   square root are exact, no step depends on another, and so each instruction set gives the
   reference's bits. Branches on settings are made constant by inlining. */
#include "vec.h"

/* Values a piece: a few microseconds, because waking a second thread costs one or two. */
#define ADAM_GRAIN 8192
#define LIGHT_GRAIN 32768
#define SHARED_FROM 65536           /* values; fewer are updated sooner than they reach another core's cache */

/* Arrays k, k + count, k + 2 count, ... hold parameter k, its gradient, its state. */
#define lists ML_NAME(optimizer_lists)
typedef struct {
    const ml_array *a;
    int64_t count;
    int64_t *start;                 /* where array k starts in the long row; start[count] is its length */
} lists;

/* Look the lists over and lay the long row out. `n` lists are written, shapes and dtypes must agree. */
static int ML_NAME(optimizer_lay)(const ml_array *a, int64_t count, int n, lists *l)
{
    const ml_array *hyper = &a[n * count];
    if (hyper->dtype != ML_F64)
        return ML_BAD_DTYPE;
    if (!ml_contiguous(hyper))
        return ML_NOT_CONTIGUOUS;
    l->a = a;
    l->count = count;
    l->start = ml_rt->scratch(0, (size_t)(count + 1) * sizeof(int64_t));
    if (!l->start)
        return ML_NO_MEMORY;
    l->start[0] = 0;
    for (int64_t k = 0; k < count; k++) {
        const ml_array *p = &a[k];
        if (p->dtype != ML_F32 && p->dtype != ML_F64)
            return ML_BAD_DTYPE;
        for (int i = 0; i < n; i++) {
            const ml_array *x = &a[i * count + k];
            if (x->dtype != p->dtype)
                return ML_BAD_DTYPE;
            if (x->ndim != p->ndim || memcmp(x->shape, p->shape, (size_t)p->ndim * sizeof p->shape[0]))
                return ML_BAD_SHAPE;
            if (!ml_contiguous(x))
                return ML_NOT_CONTIGUOUS;
        }
        l->start[k + 1] = l->start[k] + p->size;
    }
    return ML_OK;
}

/* Run a task over the long row. */
static void ML_NAME(optimizer_run)(ml_task task, void *context, int64_t values, int64_t grain)
{
    ml_rt->parallel_for(task, context, values, values < SHARED_FROM ? values : grain);
}

/* The array that holds place `begin` of the long row. */
static int64_t ML_NAME(optimizer_find)(const lists *l, int64_t begin)
{
    int64_t low = 0, high = l->count;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (l->start[middle] <= begin)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Where a piece is cut inside an array: at a multiple of 16 values, so that vectors stay aligned. */
#define optimizer_cut ML_NAME(optimizer_cut)
ML_INLINE int64_t optimizer_cut(int64_t i, int64_t size)
{
    return i <= 0 ? 0 : ml_min((i + 15) & ~(int64_t)15, size);
}

/* For every stretch of one array inside [begin, end): k, lo and n. */
#define OPTIMIZER_STRETCHES(l, begin, end, k, lo, n) \
    for (int64_t k = ML_NAME(optimizer_find)(l, begin), lo, n; k < (l)->count && (l)->start[k] < end; k++) \
        if (lo = optimizer_cut(begin - (l)->start[k], (l)->a[k].size), \
            n = optimizer_cut(end - (l)->start[k], (l)->a[k].size) - lo, n > 0)

/* ---- SGD ---- */

#define sgd_job ML_NAME(sgd_job)
typedef struct {
    lists l;
    double sign, decay, momentum, fresh, step;      /* fresh = 1 - dampening, step = -lr */
    int has_decay, has_momentum, first, nesterov;
} sgd_job;

#define SGD_LOOP(loop, type) \
    ML_INLINE void loop(int64_t n, type *restrict p, const type *restrict g, type *restrict b, const sgd_job *c, \
                        int has_decay, int has_momentum, int first, int nesterov) \
    { \
        const type sign = (type)c->sign, decay = (type)c->decay, momentum = (type)c->momentum; \
        const type fresh = (type)c->fresh, step = (type)c->step; \
        for (int64_t i = 0; i < n; i++) { \
            type d = sign * g[i]; \
            if (has_decay) \
                d = d + decay * p[i]; \
            if (has_momentum) { \
                b[i] = first ? d : b[i] * momentum + fresh * d; \
                d = nesterov ? d + momentum * b[i] : b[i]; \
            } \
            p[i] = p[i] + step * d; \
        } \
    }
SGD_LOOP(ML_NAME(sgd_f32), float)
SGD_LOOP(ML_NAME(sgd_f64), double)

#define SGD_CASES(loop, type) \
    do { \
        type *p = (type *)a[k].data + lo, *b = c->has_momentum ? (type *)a[2 * count + k].data + lo : NULL; \
        const type *g = (const type *)a[count + k].data + lo; \
        if (!c->has_momentum && !c->has_decay) loop(n, p, g, b, c, 0, 0, 0, 0); \
        else if (!c->has_momentum) loop(n, p, g, b, c, 1, 0, 0, 0); \
        else if (!c->has_decay && !c->nesterov) loop(n, p, g, b, c, 0, 1, c->first, 0); \
        else if (!c->has_decay) loop(n, p, g, b, c, 0, 1, c->first, 1); \
        else if (!c->nesterov) loop(n, p, g, b, c, 1, 1, c->first, 0); \
        else loop(n, p, g, b, c, 1, 1, c->first, 1); \
    } while (0)

static void ML_NAME(sgd_task)(void *context, int64_t begin, int64_t end)
{
    const sgd_job *c = context;
    const ml_array *a = c->l.a;
    const int64_t count = c->l.count;
    OPTIMIZER_STRETCHES(&c->l, begin, end, k, lo, n) {
        if (a[k].dtype == ML_F32)
            SGD_CASES(ML_NAME(sgd_f32), float);
        else
            SGD_CASES(ML_NAME(sgd_f64), double);
    }
}

static int ML_NAME(sgd_entry)(const ml_array *a, const void *settings)
{
    const ml_sgd_settings *s = settings;
    const int n = s->momentum != 0 ? 3 : 2;
    sgd_job c;
    int status = ML_NAME(optimizer_lay)(a, s->count, n, &c.l);
    if (status != ML_OK)
        return status;
    if (a[n * s->count].size != 2)
        return ML_BAD_SHAPE;
    const double *hyper = (const double *)a[n * s->count].data;
    c.sign = s->maximize ? -1 : 1;
    c.decay = s->weight_decay;
    c.momentum = s->momentum;
    c.fresh = 1 - s->dampening;
    c.step = -hyper[0];
    c.has_decay = s->weight_decay != 0;
    c.has_momentum = s->momentum != 0;
    c.first = hyper[1] != 0;
    c.nesterov = s->nesterov;
    ML_NAME(optimizer_run)(ML_NAME(sgd_task), &c, c.l.start[s->count], LIGHT_GRAIN);
    return ML_OK;
}

/* ---- Adam and AdamW ---- */

#define adam_job ML_NAME(adam_job)
typedef struct {
    lists l;
    double sign, decay, keep;       /* keep = 1 - lr weight_decay, or 1 */
    double beta1, new1, beta2, new2, step, root, eps;
    int has_decay, amsgrad, near;   /* near: m starts from its old value rather than from g */
} adam_job;

#define ADAM_LOOP(loop, type, sqrt_) \
    ML_INLINE void loop(int64_t n, type *restrict p, const type *restrict g, type *restrict m, type *restrict v, \
                        type *restrict top, const adam_job *c, int has_decay, int amsgrad, int near) \
    { \
        const type sign = (type)c->sign, decay = (type)c->decay, keep = (type)c->keep; \
        const type beta1 = (type)c->beta1, new1 = (type)c->new1, beta2 = (type)c->beta2, new2 = (type)c->new2; \
        const type step = (type)c->step, root = (type)c->root, eps = (type)c->eps; \
        for (int64_t i = 0; i < n; i++) { \
            type d = sign * g[i]; \
            if (has_decay) \
                d = d + decay * p[i]; \
            m[i] = near ? m[i] + new1 * (d - m[i]) : d - beta1 * (d - m[i]); \
            type t = beta2 * v[i] + new2 * d * d; \
            v[i] = t; \
            if (amsgrad) { \
                t = top[i] > t || top[i] != top[i] ? top[i] : t; \
                top[i] = t; \
            } \
            p[i] = p[i] * keep + step * m[i] / (sqrt_(t) * root + eps); \
        } \
    }
ADAM_LOOP(ML_NAME(adam_f32), float, sqrtf)
ADAM_LOOP(ML_NAME(adam_f64), double, sqrt)

#define ADAM_CASES(loop, type) \
    do { \
        type *p = (type *)a[k].data + lo, *m = (type *)a[2 * count + k].data + lo; \
        type *v = (type *)a[3 * count + k].data + lo, *top = c->amsgrad ? (type *)a[4 * count + k].data + lo : NULL; \
        const type *g = (const type *)a[count + k].data + lo; \
        if (c->near && !c->has_decay && !c->amsgrad) loop(n, p, g, m, v, top, c, 0, 0, 1); \
        else if (c->near && !c->amsgrad) loop(n, p, g, m, v, top, c, 1, 0, 1); \
        else loop(n, p, g, m, v, top, c, c->has_decay, c->amsgrad, c->near); \
    } while (0)

static void ML_NAME(adam_task)(void *context, int64_t begin, int64_t end)
{
    const adam_job *c = context;
    const ml_array *a = c->l.a;
    const int64_t count = c->l.count;
    OPTIMIZER_STRETCHES(&c->l, begin, end, k, lo, n) {
        if (a[k].dtype == ML_F32)
            ADAM_CASES(ML_NAME(adam_f32), float);
        else
            ADAM_CASES(ML_NAME(adam_f64), double);
    }
}

static int ML_NAME(adam_entry)(const ml_array *a, const void *settings)
{
    const ml_adam_settings *s = settings;
    const int n = s->amsgrad ? 5 : 4;
    adam_job c;
    int status = ML_NAME(optimizer_lay)(a, s->count, n, &c.l);
    if (status != ML_OK)
        return status;
    if (a[n * s->count].size != 2)
        return ML_BAD_SHAPE;
    const double *hyper = (const double *)a[n * s->count].data;
    const double lr = hyper[0], t = hyper[1];
    c.sign = s->maximize ? -1 : 1;
    c.decay = s->weight_decay;
    c.has_decay = s->weight_decay != 0 && !s->decoupled;
    c.keep = s->decoupled ? 1 - lr * s->weight_decay : 1;
    c.beta1 = s->beta1;
    c.new1 = 1 - s->beta1;
    c.near = c.new1 < 0.5;
    c.beta2 = s->beta2;
    c.new2 = 1 - s->beta2;
    c.step = -(lr / (1 - pow(s->beta1, t)));
    c.root = 1 / pow(1 - pow(s->beta2, t), 0.5);
    c.eps = s->eps;
    c.amsgrad = s->amsgrad;
    ML_NAME(optimizer_run)(ML_NAME(adam_task), &c, c.l.start[s->count], ADAM_GRAIN);
    return ML_OK;
}

/* ---- RMSprop, Adagrad, Adadelta, Adamax, NAdam, RAdam, Rprop ----

   Each is one loop over values, told here in the words of optimizer_reference.py: p the parameter, d its gradient
   (with sign and decay), u, v, w its state; k[] the numbers that the entry worked out, on[] its switches. */

#define rule_job ML_NAME(rule_job)
typedef struct {
    lists l;
    double sign, decay, keep, k[8];
    int has_decay, on[2], states;   /* how many state lists there are */
} rule_job;

#define RULE_LOOP(loop, type, sqrt_, fabs_, body) \
    ML_INLINE void loop(int64_t n, type *restrict p, const type *restrict g, type *restrict u, type *restrict v, \
                        type *restrict w, const rule_job *c, int has_decay, int on0, int on1) \
    { \
        const type sign = (type)c->sign, decay = (type)c->decay, keep = (type)c->keep; \
        const type k0 = (type)c->k[0], k1 = (type)c->k[1], k2 = (type)c->k[2], k3 = (type)c->k[3]; \
        const type k4 = (type)c->k[4], k5 = (type)c->k[5]; \
        (void)u, (void)v, (void)w, (void)keep, (void)k1, (void)k2, (void)k3, (void)k4, (void)k5, (void)on0, (void)on1; \
        for (int64_t i = 0; i < n; i++) { \
            type d = sign * g[i]; \
            if (has_decay) \
                d = d + decay * p[i]; \
            body(type, sqrt_, fabs_) \
        } \
    }

/* (Both switches and the decay are told apart outside the loop, so that the loop has no branches.) */
#define RULE_CASES(loop, type) \
    do { \
        type *p = (type *)a[k].data + lo, *state[3] = {NULL, NULL, NULL}; \
        const type *g = (const type *)a[count + k].data + lo; \
        for (int j = 0; j < c->states; j++) \
            state[j] = (type *)a[(2 + j) * count + k].data + lo; \
        if (c->on[1] && !c->on[0]) \
            state[2] = state[1]; \
        if (!c->on[0] && !c->on[1]) { \
            if (c->has_decay) loop(n, p, g, state[0], state[1], state[2], c, 1, 0, 0); \
            else loop(n, p, g, state[0], state[1], state[2], c, 0, 0, 0); \
        } else if (c->on[0] && !c->on[1]) \
            loop(n, p, g, state[0], state[1], state[2], c, c->has_decay, 1, 0); \
        else if (!c->on[0]) \
            loop(n, p, g, state[0], state[1], state[2], c, c->has_decay, 0, 1); \
        else \
            loop(n, p, g, state[0], state[1], state[2], c, c->has_decay, 1, 1); \
    } while (0)

#define RULE(name, body) \
    RULE_LOOP(ML_NAME(name##_f32), float, sqrtf, fabsf, body) \
    RULE_LOOP(ML_NAME(name##_f64), double, sqrt, fabs, body) \
    static void ML_NAME(name##_task)(void *context, int64_t begin, int64_t end) \
    { \
        const rule_job *c = context; \
        const ml_array *a = c->l.a; \
        const int64_t count = c->l.count; \
        OPTIMIZER_STRETCHES(&c->l, begin, end, k, lo, n) { \
            if (a[k].dtype == ML_F32) \
                RULE_CASES(ML_NAME(name##_f32), float); \
            else \
                RULE_CASES(ML_NAME(name##_f64), double); \
        } \
    }

/* m of the moving averages: from the nearer end (k and new are beta and 1 - beta, near is the switch). */
#define TOWARD(m, near, beta, fresh) ((near) ? (m) + (fresh) * (d - (m)) : d - (beta) * (d - (m)))

#define RMSPROP(type, sqrt_, fabs_)         /* k: alpha, 1 - alpha, eps, -lr, momentum; on: centered, momentum */ \
    u[i] = k0 * u[i] + k1 * d * d; \
    type spread = u[i]; \
    if (on0) { \
        v[i] = TOWARD(v[i], k5 != 0, k0, k1); \
        spread = u[i] - v[i] * v[i]; \
    } \
    type s = sqrt_(spread) + k2; \
    if (on1) { \
        w[i] = k4 * w[i] + d / s; \
        p[i] = p[i] + k3 * w[i]; \
    } else \
        p[i] = p[i] + k3 * d / s;

#define ADAGRAD(type, sqrt_, fabs_)         /* k: -rate, eps */ \
    u[i] = u[i] + d * d; \
    p[i] = p[i] + k0 * d / (sqrt_(u[i]) + k1);

#define ADADELTA(type, sqrt_, fabs_)        /* k: rho, 1 - rho, eps, -lr */ \
    u[i] = k0 * u[i] + k1 * d * d; \
    type e = sqrt_(v[i] + k2) / sqrt_(u[i] + k2) * d; \
    v[i] = k0 * v[i] + k1 * e * e; \
    p[i] = p[i] + k3 * e;

#define ADAMAX(type, sqrt_, fabs_)          /* k: b1, 1 - b1, b2, eps, step; on: m is near */ \
    u[i] = TOWARD(u[i], on0, k0, k1); \
    type old = k2 * v[i], big = fabs_(d) + k3; \
    v[i] = old > big || old != old ? old : big; \
    p[i] = p[i] + k4 * u[i] / v[i];

#define NADAM(type, sqrt_, fabs_)           /* k: b1, 1 - b1, b2, 1 - b2, now, later; on: m is near */ \
    const type eps = (type)c->k[6], whole = (type)c->k[7]; \
    u[i] = TOWARD(u[i], on0, k0, k1); \
    v[i] = k2 * v[i] + k3 * d * d; \
    type s = sqrt_(v[i] / whole) + eps; \
    p[i] = p[i] * keep + k4 * d / s + k5 * u[i] / s;

#define RADAM(type, sqrt_, fabs_)           /* k: b1, 1 - b1, b2, 1 - b2, step, eps; on: m is near, rectified */ \
    u[i] = TOWARD(u[i], on0, k0, k1); \
    v[i] = k2 * v[i] + k3 * d * d; \
    p[i] = p[i] * keep + (on1 ? k4 * u[i] / (sqrt_(v[i]) + k5) : k4 * u[i]);

#define RPROP(type, sqrt_, fabs_)           /* k: etas, limits */ \
    type turn = d * u[i]; \
    type e = v[i] * (turn > 0 ? k1 : turn < 0 ? k0 : (type)1); \
    e = e < k2 ? k2 : e; \
    v[i] = e > k3 ? k3 : e; \
    u[i] = turn < 0 ? (type)0 : d; \
    p[i] = p[i] - (u[i] > 0 ? (type)1 : u[i] < 0 ? (type)-1 : u[i]) * v[i];

RULE(rmsprop, RMSPROP)
RULE(adagrad, ADAGRAD)
RULE(adadelta, ADADELTA)
RULE(adamax, ADAMAX)
RULE(nadam, NADAM)
RULE(radam, RADAM)
RULE(rprop, RPROP)

/* Look the lists over (`states` of them beside params and grads), and set what all rules share. */
static int ML_NAME(rule_begin)(const ml_array *a, const ml_rule_settings *s, int states, int64_t numbers, rule_job *c)
{
    memset(c, 0, sizeof *c);
    int status = ML_NAME(optimizer_lay)(a, s->count, 2 + states, &c->l);
    if (status != ML_OK)
        return status;
    if (a[(2 + states) * s->count].size != numbers)
        return ML_BAD_SHAPE;
    const double lr = *(const double *)a[(2 + states) * s->count].data;
    c->states = states;
    c->sign = s->maximize ? -1 : 1;
    c->decay = s->weight_decay;
    c->has_decay = s->weight_decay != 0 && !s->decoupled;
    c->keep = s->decoupled ? 1 - lr * s->weight_decay : 1;
    return ML_OK;
}

#define RULE_ENTRY(name, states, numbers) \
    static int ML_NAME(name##_entry)(const ml_array *a, const void *settings) \
    { \
        const ml_rule_settings *s = settings; \
        rule_job c; \
        int status = ML_NAME(rule_begin)(a, s, states, numbers, &c); \
        if (status != ML_OK) \
            return status; \
        double *hyper = (double *)a[(2 + (states)) * s->count].data; \
        ML_NAME(name##_numbers)(s, hyper, &c); \
        ML_NAME(optimizer_run)(ML_NAME(name##_task), &c, c.l.start[s->count], ADAM_GRAIN); \
        return ML_OK; \
    }

static void ML_NAME(rmsprop_numbers)(const ml_rule_settings *s, double *hyper, rule_job *c)
{
    c->k[0] = s->beta1, c->k[1] = 1 - s->beta1, c->k[2] = s->eps, c->k[3] = -hyper[0], c->k[4] = s->momentum;
    c->k[5] = 1 - s->beta1 < 0.5;
    c->on[0] = s->centered, c->on[1] = s->momentum != 0;
}
RULE_ENTRY(rmsprop, 1 + (s->centered != 0) + (s->momentum != 0), 2)

static void ML_NAME(adagrad_numbers)(const ml_rule_settings *s, double *hyper, rule_job *c)
{
    c->k[0] = -(hyper[0] / (1 + (hyper[1] - 1) * s->low)), c->k[1] = s->eps;
}
RULE_ENTRY(adagrad, 1, 2)

static void ML_NAME(adadelta_numbers)(const ml_rule_settings *s, double *hyper, rule_job *c)
{
    c->k[0] = s->beta1, c->k[1] = 1 - s->beta1, c->k[2] = s->eps, c->k[3] = -hyper[0];
}
RULE_ENTRY(adadelta, 2, 2)

static void ML_NAME(adamax_numbers)(const ml_rule_settings *s, double *hyper, rule_job *c)
{
    c->k[0] = s->beta1, c->k[1] = 1 - s->beta1, c->k[2] = s->beta2, c->k[3] = s->eps;
    c->k[4] = -(hyper[0] / (1 - pow(s->beta1, hyper[1])));
    c->on[0] = 1 - s->beta1 < 0.5;
}
RULE_ENTRY(adamax, 2, 2)

static void ML_NAME(nadam_numbers)(const ml_rule_settings *s, double *hyper, rule_job *c)
{
    const double lr = hyper[0], t = hyper[1];
    const double mu = s->beta1 * (1 - 0.5 * pow(0.96, t * s->momentum));
    const double following = s->beta1 * (1 - 0.5 * pow(0.96, (t + 1) * s->momentum));
    const double product = hyper[2] = (float)hyper[2] * (float)mu;     /* in float32, where PyTorch keeps it */
    c->k[0] = s->beta1, c->k[1] = 1 - s->beta1, c->k[2] = s->beta2, c->k[3] = 1 - s->beta2;
    c->k[4] = -lr * (1 - mu) / (1 - product), c->k[5] = -lr * following / (1 - product * following);
    c->k[6] = s->eps, c->k[7] = 1 - pow(s->beta2, t);
    c->on[0] = 1 - s->beta1 < 0.5;
}
RULE_ENTRY(nadam, 2, 3)

static void ML_NAME(radam_numbers)(const ml_rule_settings *s, double *hyper, rule_job *c)
{
    const double lr = hyper[0], t = hyper[1], longest = 2 / (1 - s->beta2) - 1;
    const double left = pow(s->beta2, t), length = longest - 2 * t * left / (1 - left);
    double step = -lr / (1 - pow(s->beta1, t));
    c->on[1] = length > 5;
    if (c->on[1])
        step *= pow((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length), 0.5)
                * pow(1 - left, 0.5);
    c->k[0] = s->beta1, c->k[1] = 1 - s->beta1, c->k[2] = s->beta2, c->k[3] = 1 - s->beta2;
    c->k[4] = step, c->k[5] = s->eps;
    c->on[0] = 1 - s->beta1 < 0.5;
}
RULE_ENTRY(radam, 2, 2)

static void ML_NAME(rprop_numbers)(const ml_rule_settings *s, double *hyper, rule_job *c)
{
    (void)hyper;
    c->k[0] = s->beta1, c->k[1] = s->beta2, c->k[2] = s->low, c->k[3] = s->high;
}
RULE_ENTRY(rprop, 2, 2)

/* ---- the norm of all gradients, and scaling ---- */

#define norm_job ML_NAME(norm_job)
typedef struct {
    lists l;
    double *partial;                /* one a piece, added in their order */
    double factor;
} norm_job;

/* Sixteen sums side by side, added at the end in a fixed order, whatever the vector's width. */
#define NORM_LOOP(loop, type) \
    ML_INLINE double loop(int64_t n, const type *x) \
    { \
        double s[16] = {0}, total = 0; \
        int64_t i = 0; \
        for (; i + 16 <= n; i += 16) \
            for (int j = 0; j < 16; j++) \
                s[j] += (double)x[i + j] * (double)x[i + j]; \
        for (int j = 0; i < n; i++, j++) \
            s[j] += (double)x[i] * (double)x[i]; \
        for (int j = 0; j < 16; j++) \
            total += s[j]; \
        return total; \
    }
NORM_LOOP(ML_NAME(norm_f32), float)
NORM_LOOP(ML_NAME(norm_f64), double)

static void ML_NAME(norm_task)(void *context, int64_t begin, int64_t end)
{
    const norm_job *c = context;
    const ml_array *a = c->l.a;
    double total = 0;
    OPTIMIZER_STRETCHES(&c->l, begin, end, k, lo, n)
        total += a[k].dtype == ML_F32 ? ML_NAME(norm_f32)(n, (const float *)a[k].data + lo)
                                      : ML_NAME(norm_f64)(n, (const double *)a[k].data + lo);
    c->partial[begin / LIGHT_GRAIN] = total;
}

static int ML_NAME(norm_squared_entry)(const ml_array *a, const void *settings)
{
    const int64_t count = ((const ml_list_settings *)settings)->count;
    norm_job c;
    int status = ML_NAME(optimizer_lay)(a, count, 1, &c.l);
    if (status != ML_OK)
        return status;
    if (a[count].size != 1)
        return ML_BAD_SHAPE;
    int64_t pieces = ml_ceil_div(c.l.start[count], LIGHT_GRAIN);
    c.partial = ml_rt->scratch(1, (size_t)(pieces + 1) * sizeof(double));
    if (!c.partial)
        return ML_NO_MEMORY;
    ml_rt->parallel_for(ML_NAME(norm_task), &c, c.l.start[count], LIGHT_GRAIN);
    double total = 0;
    for (int64_t i = 0; i < pieces; i++)
        total += c.partial[i];
    *(double *)a[count].data = total;
    return ML_OK;
}

#define SCALE_LOOP(loop, type) \
    ML_INLINE void loop(int64_t n, type *x, type factor) \
    { \
        for (int64_t i = 0; i < n; i++) \
            x[i] *= factor; \
    }
SCALE_LOOP(ML_NAME(scale_f32), float)
SCALE_LOOP(ML_NAME(scale_f64), double)

static void ML_NAME(scale_task)(void *context, int64_t begin, int64_t end)
{
    const norm_job *c = context;
    const ml_array *a = c->l.a;
    OPTIMIZER_STRETCHES(&c->l, begin, end, k, lo, n) {
        if (a[k].dtype == ML_F32)
            ML_NAME(scale_f32)(n, (float *)a[k].data + lo, (float)c->factor);
        else
            ML_NAME(scale_f64)(n, (double *)a[k].data + lo, c->factor);
    }
}

static int ML_NAME(scale_entry)(const ml_array *a, const void *settings)
{
    const int64_t count = ((const ml_list_settings *)settings)->count;
    norm_job c;
    int status = ML_NAME(optimizer_lay)(a, count, 1, &c.l);
    if (status != ML_OK)
        return status;
    if (a[count].size != 1)
        return ML_BAD_SHAPE;
    c.factor = *(const double *)a[count].data;
    ML_NAME(optimizer_run)(ML_NAME(scale_task), &c, c.l.start[count], LIGHT_GRAIN);
    return ML_OK;
}

static const optimizer_kernels ML_NAME(table) = {
    .sgd = ML_NAME(sgd_entry),
    .adam = ML_NAME(adam_entry),
    .rmsprop = ML_NAME(rmsprop_entry),
    .adagrad = ML_NAME(adagrad_entry),
    .adadelta = ML_NAME(adadelta_entry),
    .adamax = ML_NAME(adamax_entry),
    .nadam = ML_NAME(nadam_entry),
    .radam = ML_NAME(radam_entry),
    .rprop = ML_NAME(rprop_entry),
    .norm_squared = ML_NAME(norm_squared_entry),
    .scale = ML_NAME(scale_entry),
};

#undef ADAM_GRAIN
#undef LIGHT_GRAIN
#undef SHARED_FROM
#undef OPTIMIZER_STRETCHES
#undef lists
#undef optimizer_cut
#undef sgd_job
#undef SGD_LOOP
#undef SGD_CASES
#undef adam_job
#undef ADAM_LOOP
#undef ADAM_CASES
#undef norm_job
#undef NORM_LOOP
#undef SCALE_LOOP
#undef rule_job
#undef RULE_LOOP
#undef RULE_CASES
#undef RULE
#undef TOWARD
#undef RMSPROP
#undef ADAGRAD
#undef ADADELTA
#undef ADAMAX
#undef NADAM
#undef RADAM
#undef RPROP
#undef RULE_ENTRY
