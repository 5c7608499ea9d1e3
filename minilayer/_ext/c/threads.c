/* One pool of threads for every kernel.

   It leaves out what a general scheduler has: one loop runs at a time, and a second Python thread
   that arrives meanwhile does its own loop by itself rather than wait. Pieces depend on the loop
   alone, so who runs them never changes a result.

   Each thread has a share of the pieces, one after the other, and takes from the others' shares
   when its own is done. Loop after loop the same thread meets the same part of the arrays, which
   is still in its core's cache then: handing pieces out by one counter made a product of two
   128 x 128 matrices hardly faster on two cores than on one.

   Workers spin for a short while after a loop, because the next one of a training step is usually
   microseconds away, and then sleep on a condition variable. OpenMP is not used: its runtime keeps
   a team per calling thread, hangs after fork and is absent on macOS. */
#define _GNU_SOURCE
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 256
#define SPIN_NS 100000              /* 0.1 ms: longer than the gaps inside a step, shorter than a pause */

#if defined(__x86_64__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ __volatile__("yield")
#else
#define RELAX() ((void)0)
#endif

static struct {
    pthread_mutex_t owner;          /* held by the thread whose loop is running */
    pthread_mutex_t lock;           /* guards sleeping and waking */
    pthread_cond_t wake;
    atomic_int sleepers;
    atomic_uint_fast64_t ticket;    /* raised once a loop; workers wait for it to move */
    atomic_int workers;             /* started */
    atomic_int busy;                /* workers inside the current loop */
    atomic_int open;                /* may workers still enter the current loop? */

    ml_task task;
    void *context;
    int64_t n, grain;
    int shares;                     /* threads that take part: the caller, and workers with an index below shares - 1 */
    struct {
        _Alignas(64) atomic_llong next;     /* the next piece to hand out */
        int64_t end;
    } share[MAX_THREADS];
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static atomic_int wanted;           /* threads in all, the caller included; 0 = not set yet */
static _Thread_local int inside;    /* this thread is running a piece */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The pieces of share `first`, then those that are left of the next ones. */
static void run_pieces(int first)
{
    const int shares = pool.shares;
    inside = 1;
    for (int k = 0; k < shares; k++) {
        int s = first + k < shares ? first + k : first + k - shares;
        for (;;) {
            int64_t piece = atomic_fetch_add_explicit(&pool.share[s].next, 1, memory_order_relaxed);
            if (piece >= pool.share[s].end)
                break;
            int64_t begin = piece * pool.grain;
            pool.task(pool.context, begin, ml_min(begin + pool.grain, pool.n));
        }
    }
    inside = 0;
}

static void *work(void *argument)
{
    int index = (int)(intptr_t)argument;
    uint_fast64_t seen = 0;
    for (;;) {
        int64_t until = now_ns() + SPIN_NS;
        int spins = 0;
        while (atomic_load_explicit(&pool.ticket, memory_order_acquire) == seen) {
            RELAX();
            if (++spins % 256)
                continue;
            if (now_ns() < until)
                continue;
            pthread_mutex_lock(&pool.lock);
            atomic_fetch_add(&pool.sleepers, 1);
            while (atomic_load(&pool.ticket) == seen)
                pthread_cond_wait(&pool.wake, &pool.lock);
            atomic_fetch_sub(&pool.sleepers, 1);
            pthread_mutex_unlock(&pool.lock);
        }
        seen = atomic_load(&pool.ticket);
        /* Enter first and look second: the owner closes the loop and then waits for busy to reach
           zero, so a worker that finds it open is one the owner waits for. */
        atomic_fetch_add(&pool.busy, 1);
        if (atomic_load(&pool.open) && index < pool.shares - 1)
            run_pieces(index + 1);
        atomic_fetch_sub(&pool.busy, 1);
    }
    return NULL;
}

/* A forked child has the calling thread alone. Its pool starts empty, with fresh locks: the
   parent's may have been held by a thread that does not exist here. */
static void after_fork_in_child(void)
{
    pthread_mutex_init(&pool.owner, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    atomic_store(&pool.workers, 0);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.busy, 0);
    atomic_store(&pool.open, 0);
    inside = 0;
}

static void register_fork(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

static void start_workers(int count)
{
    pthread_once(&fork_once, register_fork);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    int have = atomic_load(&pool.workers);
    while (have < count) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, work, (void *)(intptr_t)have))
            break;                  /* the system refuses more threads: fewer do the same work */
        have++;
    }
    atomic_store(&pool.workers, have);
    pthread_attr_destroy(&attributes);
}

int ml_get_num_threads(void)
{
    int n = atomic_load(&wanted);
    if (n == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
        /* a container or taskset may grant fewer than the machine has */
        cpu_set_t set;
        if (sched_getaffinity(0, sizeof set, &set) == 0)
            cores = CPU_COUNT(&set);
#endif
        n = cores < 1 ? 1 : cores > MAX_THREADS ? MAX_THREADS : (int)cores;
        atomic_store(&wanted, n);
    }
    return n;
}

void ml_set_num_threads(int n) { atomic_store(&wanted, n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n); }

void ml_parallel_for(ml_task task, void *context, int64_t n, int64_t grain)
{
    if (n <= 0)
        return;
    if (grain < 1)
        grain = 1;
    int64_t pieces = ml_ceil_div(n, grain);
    int threads = ml_get_num_threads();
    if (pieces == 1 || threads == 1 || inside || pthread_mutex_trylock(&pool.owner)) {
        for (int64_t begin = 0; begin < n; begin += grain)
            task(context, begin, ml_min(begin + grain, n));
        return;
    }
    if (atomic_load(&pool.workers) < threads - 1)
        start_workers(threads - 1);
    pool.task = task;
    pool.context = context;
    pool.n = n;
    pool.grain = grain;
    pool.shares = (int)ml_min(threads, pieces);
    for (int i = 0; i < pool.shares; i++) {
        atomic_store_explicit(&pool.share[i].next, i * pieces / pool.shares, memory_order_relaxed);
        pool.share[i].end = (i + 1) * pieces / pool.shares;
    }
    atomic_store(&pool.open, 1);
    atomic_fetch_add(&pool.ticket, 1);
    if (atomic_load(&pool.sleepers)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
    run_pieces(0);
    atomic_store(&pool.open, 0);
    /* A worker that was descheduled by the system inside its piece would be waited for at full
       speed; after a while, let it have this core. */
    for (int spins = 0; atomic_load(&pool.busy); spins++) {
        if (spins < 20000)
            RELAX();
        else
            sched_yield();
    }
    pthread_mutex_unlock(&pool.owner);
}

/* ---- scratch memory, per thread ---- */

typedef struct { void *data; size_t bytes; } scratch_slot;
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static _Thread_local scratch_slot *my_scratch;

static void scratch_free(void *p)
{
    scratch_slot *slots = p;
    for (int i = 0; i < ML_SCRATCH_SLOTS; i++)
        free(slots[i].data);
    free(slots);
}

static void scratch_make_key(void) { pthread_key_create(&scratch_key, scratch_free); }

void *ml_scratch(int slot, size_t bytes)
{
    if (!my_scratch) {
        pthread_once(&scratch_once, scratch_make_key);
        my_scratch = calloc(ML_SCRATCH_SLOTS, sizeof *my_scratch);
        if (!my_scratch)
            return NULL;
        pthread_setspecific(scratch_key, my_scratch);
    }
    scratch_slot *s = &my_scratch[slot];
    if (!s->data || s->bytes < bytes) {
        size_t rounded = (bytes / 4096 + 1) * 4096;
        void *fresh;
        if (posix_memalign(&fresh, 64, rounded))
            return NULL;
        free(s->data);
        s->data = fresh;
        s->bytes = rounded;
    }
    return s->data;
}

/* ---- instruction sets ---- */

int ml_available_isa(int isa)
{
    if (isa == ML_PORTABLE)
        return 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == ML_AVX2)
        return avx2;
    if (isa == ML_AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return 0;
}

int ml_best_isa(void)
{
    for (int isa = ML_ISAS - 1; isa > 0; isa--)
        if (ml_available_isa(isa))
            return isa;
    return ML_PORTABLE;
}

ml_runtime ml_the_runtime = {ML_PORTABLE, ml_parallel_for, ml_scratch, ml_get_num_threads};
