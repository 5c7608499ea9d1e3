/* What every kernel in this folder shares: the array descriptor, the status a kernel returns,
   and the runtime (thread pool, scratch memory) it may call.

   A kernel's C entry has one shape,

       int entry(const ml_array *a, const void *settings);

   where a[0], a[1], ... are the arrays in the order of the Python function of the same name, and
   settings points to that kernel's own struct of numbers. One shape for all means that a recorded
   training step is a list of (entry, arrays, settings) and can be replayed without Python. */
#ifndef ML_H
#define ML_H

#include <stddef.h>
#include <stdint.h>

#define ML_MAX_DIMS 16

typedef enum { ML_F32, ML_F64, ML_I64, ML_I32, ML_U8, ML_BOOL, ML_DTYPES } ml_dtype;

/* The memory of one array, as NumPy lays it out. `data` is NULL for an argument given as None. */
typedef struct {
    char *data;
    int32_t dtype;                  /* ml_dtype */
    int32_t ndim;
    int64_t size;                   /* product of shape */
    int64_t shape[ML_MAX_DIMS];
    int64_t strides[ML_MAX_DIMS];   /* in bytes, as in NumPy; zero where an axis is broadcast */
} ml_array;

/* What an entry returns. Ops check shapes and dtypes first, so these are for what only the data
   can tell (an index out of range) and for the machine (no memory). */
enum {
    ML_OK = 0,
    ML_NO_MEMORY = 1,
    ML_BAD_INDEX = 2,               /* an index or label lies outside its axis */
    ML_BAD_DTYPE = 3,               /* this kernel has no code for the dtype it was given */
    ML_BAD_SHAPE = 4,
    ML_NOT_CONTIGUOUS = 5,          /* the contract table asks for C order here */
    ML_ZERO_DIVISION = 6            /* an integer divided by zero */
};

typedef int (*ml_kernel)(const ml_array *a, const void *settings);

/* Work on items [begin, end) of a loop. */
typedef void (*ml_task)(void *context, int64_t begin, int64_t end);

enum { ML_PORTABLE, ML_AVX2, ML_AVX512, ML_ISAS };

typedef struct {
    int isa;                        /* the instruction set chosen when minilayer was imported */

    /* Runs task over [0, n) in pieces of `grain` items (the last may be shorter) and returns when
       all are done. The pieces depend on n and grain alone, never on the number of threads, so a
       task that keeps one partial result a piece gives the same bits on any machine. Small work
       (n <= grain) stays on the calling thread; so does a call made from inside a task. */
    void (*parallel_for)(ml_task task, void *context, int64_t n, int64_t grain);

    /* At least `bytes` of 64-byte-aligned memory that belongs to the calling thread until its next
       request for the same slot (0 .. ML_SCRATCH_SLOTS-1). NULL when there is none. It is kept and
       reused, so ask for it once a kernel, not once an item. */
    void *(*scratch)(int slot, size_t bytes);
    int (*threads)(void);

    int recording;                  /* is a thread writing down which kernels it runs (runtime.pyx: Program)? */
} ml_runtime;

#define ML_SCRATCH_SLOTS 4

/* Bound when a family's table is selected (each_isa.h). */
extern const ml_runtime *ml_rt;

static inline int64_t ml_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ml_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ml_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Loops that move or add what they read, and do little with it, stay on one thread below this many elements: what another
   core has written last comes from there more slowly than one thread goes through it. (`ml_shared` is the grain of a loop
   over `items` that touch so many elements together.) */
enum { ML_SHARED_FROM = 131072 };
static inline int64_t ml_shared(int64_t elements, int64_t items, int64_t grain)
{
    return elements < ML_SHARED_FROM ? ml_max(items, 1) : grain;
}

static const int64_t ml_itemsizes[ML_DTYPES] = {4, 8, 8, 4, 1, 1};

/* C order without gaps? Axes of size 1 may have any stride; an empty array always is. */
static inline int ml_contiguous(const ml_array *a)
{
    int64_t step = ml_itemsizes[a->dtype];
    if (a->size == 0)
        return 1;
    for (int d = a->ndim - 1; d >= 0; d--) {
        if (a->shape[d] != 1 && a->strides[d] != step)
            return 0;
        step *= a->shape[d];
    }
    return 1;
}

#endif
