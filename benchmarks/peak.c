/* What this machine can do at most: fused multiply-adds in registers, and a sum of two arrays from memory.
   Built and run by kernels.py:  peak THREADS  prints GFLOP/s (float32) and GB/s. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__AVX512F__)
enum { LANES = 16, SUMS = 24 };
#elif defined(__AVX2__)
enum { LANES = 8, SUMS = 12 };
#else
enum { LANES = 4, SUMS = 12 };
#endif
typedef float vector __attribute__((vector_size(LANES * 4)));
enum { ROUNDS = 4000000, FLOATS = 1 << 24, REPEATS = 6 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static pthread_barrier_t start;

typedef struct { double seconds; float sink; float *a, *b, *c; } job;

static void *multiply(void *argument)
{
    job *j = argument;
    vector sum[SUMS], x, y;
    for (int i = 0; i < LANES; i++)
        x[i] = 1.0000001f, y[i] = 1e-7f;
#pragma GCC unroll 24                       /* all loops over the sums, or they live in memory */
    for (int s = 0; s < SUMS; s++)
        sum[s] = x * (float)s;
    pthread_barrier_wait(&start);
    double begin = now();
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 24
        for (int s = 0; s < SUMS; s++) {
            sum[s] = sum[s] * x + y;
            __asm__("" : "+v"(sum[s]));     /* as it stands: no vectors of sums, no order of the compiler's own */
        }
    j->seconds = now() - begin;
#pragma GCC unroll 24
    for (int s = 0; s < SUMS; s++)
        j->sink += sum[s][0];
    return NULL;
}

static void *add(void *argument)
{
    job *j = argument;
    for (int i = 0; i < FLOATS; i++)
        j->a[i] = j->b[i] = 1, j->c[i] = 0;
    pthread_barrier_wait(&start);
    double begin = now();
    for (int r = 0; r < REPEATS; r++)
        for (int i = 0; i < FLOATS; i++)
            j->c[i] = j->a[i] + j->b[i] * (float)r;
    j->seconds = now() - begin;
    j->sink = j->c[FLOATS / 2];
    return NULL;
}

static double run(void *(*task)(void *), int threads, job *jobs)
{
    pthread_t handle[64];
    double longest = 0;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int t = 0; t < threads; t++)
        pthread_create(&handle[t], NULL, task, &jobs[t]);
    for (int t = 0; t < threads; t++) {
        pthread_join(handle[t], NULL);
        if (jobs[t].seconds > longest)
            longest = jobs[t].seconds;
    }
    return longest;
}

int main(int count, char **words)
{
    int threads = count > 1 ? atoi(words[1]) : 1;
    if (threads < 1 || threads > 64)
        return 1;
    static job jobs[64];
    for (int t = 0; t < threads; t++) {
        jobs[t].a = malloc(FLOATS * sizeof(float));
        jobs[t].b = malloc(FLOATS * sizeof(float));
        jobs[t].c = malloc(FLOATS * sizeof(float));
        if (!jobs[t].a || !jobs[t].b || !jobs[t].c)
            return 1;
    }
    double flops = 0, bytes = 0;
    for (int r = 0; r < 3; r++) {
        double f = 2.0 * LANES * SUMS * ROUNDS * threads / run(multiply, threads, jobs);
        double b = 3.0 * sizeof(float) * FLOATS * REPEATS * threads / run(add, threads, jobs);
        flops = f > flops ? f : flops;
        bytes = b > bytes ? b : bytes;
    }
    printf("%.1f %.2f\n", flops / 1e9, bytes / 1e9);
    return 0;
}
