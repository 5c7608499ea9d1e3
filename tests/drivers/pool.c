/* The thread pool and the matrix product without Python, for ThreadSanitizer (tests/test_threads.py builds and runs it):
   several threads call at once, loops follow each other with and without pauses, the thread count changes meanwhile, and
   every sum and product is compared with one made by a single thread. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "matmul.h"
#include "threads.h"

enum { CALLERS = 3, ROUNDS = 60, N = 5000, M = 150 };

typedef struct { const double *x; double *y; int64_t grain; double *parts; } sum;

static void sum_piece(void *context, int64_t begin, int64_t end)
{
    sum *s = context;
    double total = 0;
    for (int64_t i = begin; i < end; i++) {
        s->y[i] = 2 * s->x[i];
        total += s->y[i];
    }
    s->parts[begin / s->grain] = total;
}

static ml_array matrix(float *data, int64_t rows, int64_t cols)
{
    ml_array a = {.data = (char *)data, .dtype = ML_F32, .ndim = 2, .size = rows * cols};
    a.shape[0] = rows, a.shape[1] = cols;
    a.strides[0] = cols * (int64_t)sizeof(float), a.strides[1] = sizeof(float);
    return a;
}

static const matmul_kernels *kernels;

static void *call(void *argument)
{
    const int me = (int)(intptr_t)argument;
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y), *parts = malloc(N * sizeof *parts);
    float *a = malloc(M * M * sizeof *a), *b = malloc(M * M * sizeof *b), *c = malloc(M * M * sizeof *c);
    intptr_t wrong = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double want = 0, got = 0;
        for (int i = 0; i < N; i++) {
            x[i] = (i + me + round) % 17;
            want += 2 * x[i];
        }
        sum s = {x, y, 1 + (round * 37) % 400, parts};
        ml_parallel_for(sum_piece, &s, N, s.grain);
        for (int64_t i = 0; i * s.grain < N; i++)
            got += parts[i];
        wrong += got != want;
        for (int i = 0; i < M * M; i++) {
            a[i] = (float)((i + round) % 5);
            b[i] = (float)(i % 3);
        }
        ml_array arrays[3] = {matrix(a, M, M), matrix(b, M, M), matrix(c, M, M)};
        matmul_settings settings = {0, ML_LINEAR_NONE};
        wrong += kernels->matmul(arrays, &settings) != ML_OK;
        for (int i = 0; i < M; i += 7)
            for (int j = 0; j < M; j += 5) {
                float dot = 0;
                for (int p = 0; p < M; p++)
                    dot += a[i * M + p] * b[p * M + j];
                wrong += dot != c[i * M + j];           /* whole numbers: exact in any order */
            }
        if (round % 20 == 19) {
            struct timespec pause = {0, 2000000};       /* long enough for the workers to fall asleep */
            nanosleep(&pause, NULL);
        }
        if (me == 0 && round % 10 == 9)
            ml_set_num_threads(1 + round / 10 % 4);
    }
    free(x), free(y), free(parts), free(a), free(b), free(c);
    return (void *)wrong;
}

int main(void)
{
    ml_the_runtime.isa = ml_best_isa();
    kernels = matmul_select(&ml_the_runtime);
    ml_set_num_threads(4);
    pthread_t threads[CALLERS];
    intptr_t wrong = 0;
    for (int i = 0; i < CALLERS; i++)
        pthread_create(&threads[i], NULL, call, (void *)(intptr_t)i);
    for (int i = 0; i < CALLERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        wrong += (intptr_t)result;
    }
    printf("%d wrong\n", (int)wrong);
    return wrong != 0;
}
