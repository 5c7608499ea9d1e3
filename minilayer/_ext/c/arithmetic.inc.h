/* Arithmetic between arrays: what one item is (ITEM), the row over items (ROW), the table of rows
   by dtype (TABLE), and the entries. nest.h has the loops around a row. The compiler vectorises the
   rows; the items say what they compute and no more. */
#include <math.h>

#include "nest.h"
#include "vec.h"

/* ---- one item ----
   Integers wrap around, as NumPy's do: C leaves signed overflow undefined, so they are added and
   multiplied as unsigned numbers (W) and come back as T. */

#define ITEM(name, S, T, R, expression) ML_INLINE R ML_NAME(name##_##S)(T a, T b) { return (R)(expression); }

#define COMPARISONS(S, T)                                       \
    ITEM(eq, S, T, uint8_t, a == b)                             \
    ITEM(ne, S, T, uint8_t, a != b)                             \
    ITEM(lt, S, T, uint8_t, a < b)                              \
    ITEM(le, S, T, uint8_t, a <= b)                             \
    ITEM(gt, S, T, uint8_t, a > b)                              \
    ITEM(ge, S, T, uint8_t, a >= b)                             \
    ITEM(logical_and, S, T, uint8_t, (a != 0) & (b != 0))       \
    ITEM(logical_or, S, T, uint8_t, (a != 0) | (b != 0))        \
    ITEM(logical_xor, S, T, uint8_t, (a != 0) ^ (b != 0))

/* maximum and minimum: a NaN on either side wins.
   remainder has the divisor's sign, as in Python; floor_divide is made from it, because
   floor(a / b) would be off by one where a / b rounds up to an integer. */
#define FLOAT_ITEMS(S, T, f)                                                                    \
    ITEM(add, S, T, T, a + b)                                                                   \
    ITEM(sub, S, T, T, a - b)                                                                   \
    ITEM(mul, S, T, T, a * b)                                                                   \
    ITEM(div, S, T, T, a / b)                                                                   \
    ITEM(maximum, S, T, T, (a > b) | (a != a) ? a : b)                                          \
    ITEM(minimum, S, T, T, (a < b) | (a != a) ? a : b)                                          \
    ITEM(trunc_divide, S, T, T, trunc##f(a / b))                                                \
    ITEM(pow, S, T, T, pow##f(a, b))                                                            \
    COMPARISONS(S, T)                                                                           \
    ML_INLINE T ML_NAME(remainder_##S)(T a, T b)                                                \
    {                                                                                           \
        T r = fmod##f(a, b);                                                                    \
        if (r == 0)                                                                             \
            return copysign##f(0, b);                                                           \
        return (r < 0) != (b < 0) ? r + b : r;                                                  \
    }                                                                                           \
    ML_INLINE T ML_NAME(floor_divide_##S)(T a, T b)                                             \
    {                                                                                           \
        if (b == 0)                                                                             \
            return a / b;                                                                       \
        T r = fmod##f(a, b), q = (a - r) / b;                                                   \
        if (r != 0 && (r < 0) != (b < 0))                                                       \
            q -= 1;                                                                             \
        if (q == 0)                                                                             \
            return copysign##f(0, a / b);                                                       \
        T down = floor##f(q);                                                                   \
        return q - down > (T)0.5 ? down + 1 : down;                                             \
    }

/* A shift that is negative or moves out every bit: C leaves it undefined. */
#define OUTSIDE(T, b) ((b) < 0 || (uint64_t)(b) >= 8 * sizeof(T))

/* Division by -1 is a negation: the processor traps on the smallest integer divided by -1. Zero
   divisors are refused before any item is computed (HAS_ZERO). */
#define INTEGER_ITEMS(S, T, W)                                                                  \
    ITEM(add, S, T, T, (W)a + (W)b)                                                             \
    ITEM(sub, S, T, T, (W)a - (W)b)                                                             \
    ITEM(mul, S, T, T, (W)a * (W)b)                                                             \
    ITEM(maximum, S, T, T, a > b ? a : b)                                                       \
    ITEM(minimum, S, T, T, a < b ? a : b)                                                       \
    ITEM(bitwise_and, S, T, T, a & b)                                                           \
    ITEM(bitwise_or, S, T, T, a | b)                                                            \
    ITEM(bitwise_xor, S, T, T, a ^ b)                                                           \
    ITEM(bitwise_left_shift, S, T, T, OUTSIDE(T, b) ? 0 : (W)a << (b & (8 * sizeof(T) - 1)))    \
    ITEM(bitwise_right_shift, S, T, T, OUTSIDE(T, b) ? (a < 0 ? -1 : 0) : a >> (b & (8 * sizeof(T) - 1))) \
    COMPARISONS(S, T)                                                                           \
    ML_INLINE T ML_NAME(trunc_divide_##S)(T a, T b) { return b == (T)-1 && (T)-1 < 0 ? (T)(0 - (W)a) : (T)(a / b); } \
    ML_INLINE T ML_NAME(remainder_##S)(T a, T b)                                                \
    {                                                                                           \
        T r = b == (T)-1 && (T)-1 < 0 ? 0 : (T)(a % b);                                         \
        return r != 0 && (r < 0) != (b < 0) ? (T)(r + b) : r;                                   \
    }                                                                                           \
    ML_INLINE T ML_NAME(floor_divide_##S)(T a, T b)                                             \
    {                                                                                           \
        T q = ML_NAME(trunc_divide_##S)(a, b);                                                  \
        return (a < 0) != (b < 0) && ML_NAME(remainder_##S)(a, b) != 0 ? (T)(q - 1) : q;        \
    }                                                                                           \
    /* by repeated squaring; a negative exponent leaves 0 except for 1 and -1 */                \
    ML_INLINE T ML_NAME(pow_##S)(T a, T b)                                                      \
    {                                                                                           \
        if (b < 0)                                                                              \
            return a == 1 ? 1 : a == (T)-1 ? (b & 1 ? (T)-1 : 1) : 0;                           \
        W result = 1, square = (W)a;                                                            \
        for (; b; b >>= 1, square *= square)                                                    \
            if (b & 1)                                                                          \
                result *= square;                                                               \
        return (T)result;                                                                       \
    }

FLOAT_ITEMS(f32, float, f)
FLOAT_ITEMS(f64, double, )
INTEGER_ITEMS(i64, int64_t, uint64_t)
INTEGER_ITEMS(i32, int32_t, uint32_t)
INTEGER_ITEMS(u8, uint8_t, uint32_t)
/* bool: + is or, * is and (PyTorch); the rest as for bytes of 0 and 1 */
ITEM(add, bool, uint8_t, uint8_t, a | b)
ITEM(mul, bool, uint8_t, uint8_t, a & b)

/* ---- a row of items ---- */

/* y[i] = expression in a, b (or y[i] = y[i] + it), with loops of their own for a number on one side */
#define ROW_LOOPS(T, R, y, WRITE)                                                               \
    const T *pa = (const T *)p[0], *pb = (const T *)p[1];                                       \
    R *y = (R *)p[2];                                                                           \
    if (step[0] && step[1]) {                                                                   \
        ML_LOOP for (int64_t i = 0; i < n; i++) { T a = pa[i], b = pb[i]; WRITE; }              \
    } else if (step[0]) {                                                                       \
        T b = *pb;                                                                              \
        ML_LOOP for (int64_t i = 0; i < n; i++) { T a = pa[i]; WRITE; }                         \
    } else if (step[1]) {                                                                       \
        T a = *pa;                                                                              \
        ML_LOOP for (int64_t i = 0; i < n; i++) { T b = pb[i]; WRITE; }                         \
    } else {                                                                                    \
        T a = *pa, b = *pb;                                                                     \
        for (int64_t i = 0; i < n; i++) { WRITE; }                                              \
    }                                                                                           \
    return ML_OK

#define ROW_SIGNATURE(name) \
    static int ML_NAME(name)(char *const *p, const int64_t *step, int64_t n, const void *settings)

#define ROW(name, S, T, R) \
    ROW_SIGNATURE(name##_##S##_row) { (void)settings; ROW_LOOPS(T, R, y, y[i] = ML_NAME(name##_##S)(a, b)); }

#define ROW_ADDING(name, S, T) \
    ROW_SIGNATURE(name##_onto_##S##_row)                                                        \
    {                                                                                           \
        (void)settings;                                                                         \
        ROW_LOOPS(T, T, y, y[i] = ML_NAME(add_##S)(y[i], ML_NAME(name##_##S)(a, b)));           \
    }

#define ROW_DIVIDING(name, S, T)                                                                \
    ROW_SIGNATURE(name##_##S##_row)                                                             \
    {                                                                                           \
        const T *divisor = (const T *)p[1];                                                     \
        int zero = 0;                                                                           \
        (void)settings;                                                                         \
        for (int64_t i = 0; i < (step[1] ? n : 1); i++)                                         \
            zero |= divisor[i] == 0;                                                            \
        if (zero)                                                                               \
            return ML_ZERO_DIVISION;                                                            \
        ROW_LOOPS(T, T, y, y[i] = ML_NAME(name##_##S)(a, b));                                   \
    }

/* A single exponent of 2, -1 or 1/2 does not need the C library's pow. */
#define ROW_POWER(S, T, f)                                                                      \
    ROW_SIGNATURE(pow_##S##_row)                                                                \
    {                                                                                           \
        const T *x = (const T *)p[0], exponent = *(const T *)p[1];                              \
        T *out = (T *)p[2];                                                                     \
        (void)settings;                                                                         \
        if (!step[1] && step[0] && exponent == 2) {                                             \
            ML_LOOP for (int64_t i = 0; i < n; i++) out[i] = x[i] * x[i];                       \
            return ML_OK;                                                                       \
        }                                                                                       \
        if (!step[1] && step[0] && exponent == -1) {                                            \
            ML_LOOP for (int64_t i = 0; i < n; i++) out[i] = 1 / x[i];                          \
            return ML_OK;                                                                       \
        }                                                                                       \
        if (!step[1] && step[0] && exponent == (T)0.5) {                                        \
            ML_LOOP for (int64_t i = 0; i < n; i++)                                             \
                out[i] = x[i] == -INFINITY ? INFINITY : sqrt##f(x[i] + 0);                      \
            return ML_OK;                                                                       \
        }                                                                                       \
        ROW_LOOPS(T, T, y, y[i] = ML_NAME(pow_##S)(a, b));                                      \
    }

#define ROWS_OF_ALL(S, T)                                                                       \
    ROW(eq, S, T, uint8_t) ROW(ne, S, T, uint8_t) ROW(lt, S, T, uint8_t)                        \
    ROW(le, S, T, uint8_t) ROW(gt, S, T, uint8_t) ROW(ge, S, T, uint8_t)                        \
    ROW(logical_and, S, T, uint8_t) ROW(logical_or, S, T, uint8_t) ROW(logical_xor, S, T, uint8_t) \
    ROW(maximum, S, T, T) ROW(minimum, S, T, T)                                                 \
    ROW(add, S, T, T) ROW(sub, S, T, T) ROW(mul, S, T, T)                                       \
    ROW_ADDING(add, S, T) ROW_ADDING(sub, S, T) ROW_ADDING(mul, S, T)

#define ROWS_OF_FLOATS(S, T, f)                                                                 \
    ROWS_OF_ALL(S, T)                                                                           \
    ROW(div, S, T, T) ROW_ADDING(div, S, T)                                                     \
    ROW(floor_divide, S, T, T) ROW(trunc_divide, S, T, T) ROW(remainder, S, T, T)               \
    ROW_POWER(S, T, f)

#define ROWS_OF_INTEGERS(S, T)                                                                  \
    ROWS_OF_ALL(S, T)                                                                           \
    ROW_DIVIDING(floor_divide, S, T) ROW_DIVIDING(trunc_divide, S, T) ROW_DIVIDING(remainder, S, T) \
    ROW(bitwise_and, S, T, T) ROW(bitwise_or, S, T, T) ROW(bitwise_xor, S, T, T)                \
    ROW(bitwise_left_shift, S, T, T) ROW(bitwise_right_shift, S, T, T)                          \
    ROW(pow, S, T, T)

ROWS_OF_FLOATS(f32, float, f)
ROWS_OF_FLOATS(f64, double, )
ROWS_OF_INTEGERS(i64, int64_t)
ROWS_OF_INTEGERS(i32, int32_t)
ROWS_OF_INTEGERS(u8, uint8_t)
ROW(add, bool, uint8_t, uint8_t)
ROW(mul, bool, uint8_t, uint8_t)
ROW_ADDING(add, bool, uint8_t)
ROW_ADDING(mul, bool, uint8_t)

/* where: y = c ? a : b moves bits, so the item size is all that matters */
#define ROW_WHERE(S, T)                                                                         \
    ROW_SIGNATURE(where_##S##_row)                                                              \
    {                                                                                           \
        const uint8_t *c = (const uint8_t *)p[0];                                               \
        const T *a = (const T *)p[1], *b = (const T *)p[2];                                     \
        T *y = (T *)p[3];                                                                       \
        (void)step; (void)settings;                                                             \
        ML_LOOP for (int64_t i = 0; i < n; i++) { T u = a[i], v = b[i]; y[i] = c[i] ? u : v; }  \
        return ML_OK;                                                                           \
    }
ROW_WHERE(4, uint32_t)
ROW_WHERE(8, uint64_t)
ROW_WHERE(1, uint8_t)

/* ---- backward rows; each output may be absent ---- */

/* The winner takes dy; equal ones take half each; against a NaN both take all, as in PyTorch. */
#define ROW_EXTREME_BACKWARD(name, S, T, LOSES)                                                 \
    ROW_SIGNATURE(name##_backward_##S##_row)                                                    \
    {                                                                                           \
        const T *a = (const T *)p[0], *b = (const T *)p[1], *dy = (const T *)p[2];              \
        T *da = (T *)p[3], *db = (T *)p[4];                                                     \
        (void)step; (void)settings;                                                             \
        if (da) { ML_LOOP for (int64_t i = 0; i < n; i++)                                       \
            da[i] = dy[i] * (a[i] == b[i] ? (T)0.5 : a[i] LOSES b[i] ? 0 : 1); }                \
        if (db) { ML_LOOP for (int64_t i = 0; i < n; i++)                                       \
            db[i] = dy[i] * (a[i] == b[i] ? (T)0.5 : b[i] LOSES a[i] ? 0 : 1); }                \
        return ML_OK;                                                                           \
    }

/* da = dy b a^(b-1), 0 where b = 0;  db = dy a^b log a, 0 where a = 0 and b >= 0 */
#define ROW_POW_BACKWARD(S, T, f)                                                               \
    ROW_SIGNATURE(pow_backward_##S##_row)                                                       \
    {                                                                                           \
        const T *a = (const T *)p[0], *b = (const T *)p[1], *dy = (const T *)p[2];              \
        T *da = (T *)p[3], *db = (T *)p[4];                                                     \
        (void)step; (void)settings;                                                             \
        for (int64_t i = 0; da && i < n; i++)                                                   \
            da[i] = b[i] == 0 ? 0 : dy[i] * (b[i] * (b[i] == 2 ? a[i] : pow##f(a[i], b[i] - 1))); \
        for (int64_t i = 0; db && i < n; i++)                                                   \
            db[i] = a[i] == 0 && b[i] >= 0 ? 0 : dy[i] * (pow##f(a[i], b[i]) * log##f(a[i]));   \
        return ML_OK;                                                                           \
    }

#define ROW_WHERE_BACKWARD(S, T)                                                                \
    ROW_SIGNATURE(where_backward_##S##_row)                                                     \
    {                                                                                           \
        const uint8_t *c = (const uint8_t *)p[0];                                               \
        const T *dy = (const T *)p[1];                                                          \
        T *da = (T *)p[2], *db = (T *)p[3];                                                     \
        (void)step; (void)settings;                                                             \
        if (da) { ML_LOOP for (int64_t i = 0; i < n; i++) { T v = dy[i]; da[i] = c[i] ? v : 0; } } \
        if (db) { ML_LOOP for (int64_t i = 0; i < n; i++) { T v = dy[i]; db[i] = c[i] ? 0 : v; } } \
        return ML_OK;                                                                           \
    }

#define ROWS_BACKWARD(S, T, f)                                                                  \
    ROW_EXTREME_BACKWARD(maximum, S, T, <) ROW_EXTREME_BACKWARD(minimum, S, T, >)               \
    ROW_POW_BACKWARD(S, T, f) ROW_WHERE_BACKWARD(S, T)
ROWS_BACKWARD(f32, float, f)
ROWS_BACKWARD(f64, double, )

/* ---- entries ---- */

#define FLOAT_ROWS(name) [ML_F32] = ML_NAME(name##_f32_row), [ML_F64] = ML_NAME(name##_f64_row)
#define INTEGER_ROWS(name)                                                                      \
    [ML_I64] = ML_NAME(name##_i64_row), [ML_I32] = ML_NAME(name##_i32_row), [ML_U8] = ML_NAME(name##_u8_row)
#define NUMBER_ROWS(name) FLOAT_ROWS(name), INTEGER_ROWS(name)
#define TABLE(name, ...) static const ml_row ML_NAME(name##_rows)[ML_DTYPES] = {__VA_ARGS__};

/* y = a op b, all of one dtype */
#define ENTRY(name, ...)                                                                        \
    TABLE(name, __VA_ARGS__)                                                                    \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                           \
    {                                                                                           \
        (void)settings;                                                                         \
        if (a[0].dtype != a[2].dtype || a[1].dtype != a[2].dtype)                               \
            return ML_BAD_DTYPE;                                                                \
        return ml_nest_run(ML_NAME(name##_rows)[a[2].dtype], NULL, a, 2, 1, 0);                 \
    }

/* the same, or y += a op b where the settings say so */
#define ENTRY_ADDING(name, ...)                                                                 \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                           \
    {                                                                                           \
        int onto = ((const arithmetic_settings *)settings)->accumulate;                         \
        const ml_row *rows = onto ? ML_NAME(name##_onto_rows) : ML_NAME(name##_rows);           \
        if (a[0].dtype != a[2].dtype || a[1].dtype != a[2].dtype)                               \
            return ML_BAD_DTYPE;                                                                \
        return ml_nest_run(rows[a[2].dtype], NULL, a, 2, 1, onto ? NEST_UPDATE : 0);            \
    }

/* y bool */
#define ENTRY_COMPARING(name)                                                                   \
    TABLE(name, NUMBER_ROWS(name), [ML_BOOL] = ML_NAME(name##_u8_row))                          \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                           \
    {                                                                                           \
        (void)settings;                                                                         \
        if (a[0].dtype != a[1].dtype || a[2].dtype != ML_BOOL)                                  \
            return ML_BAD_DTYPE;                                                                \
        return ml_nest_run(ML_NAME(name##_rows)[a[0].dtype], NULL, a, 2, 1, 0);                 \
    }

/* ins of the floating type of a[dy], then two outputs, either of them absent */
#define ENTRY_BACKWARD(name, first, dy)                                                         \
    TABLE(name, FLOAT_ROWS(name))                                                               \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                           \
    {                                                                                           \
        (void)settings;                                                                         \
        for (int k = first; k <= dy + 2; k++)                                                   \
            if (a[k].data && a[k].dtype != a[dy].dtype)                                         \
                return ML_BAD_DTYPE;                                                            \
        return ml_nest_run(ML_NAME(name##_rows)[a[dy].dtype], NULL, a, dy + 1, 2, NEST_EXPAND); \
    }

TABLE(add, NUMBER_ROWS(add), [ML_BOOL] = ML_NAME(add_bool_row))
TABLE(add_onto, NUMBER_ROWS(add_onto), [ML_BOOL] = ML_NAME(add_onto_bool_row))
TABLE(sub, NUMBER_ROWS(sub))
TABLE(sub_onto, NUMBER_ROWS(sub_onto))
TABLE(mul, NUMBER_ROWS(mul), [ML_BOOL] = ML_NAME(mul_bool_row))
TABLE(mul_onto, NUMBER_ROWS(mul_onto), [ML_BOOL] = ML_NAME(mul_onto_bool_row))
TABLE(div, FLOAT_ROWS(div))
TABLE(div_onto, FLOAT_ROWS(div_onto))
ENTRY_ADDING(add)
ENTRY_ADDING(sub)
ENTRY_ADDING(mul)
ENTRY_ADDING(div)
ENTRY(floor_divide, NUMBER_ROWS(floor_divide))
ENTRY(trunc_divide, NUMBER_ROWS(trunc_divide))
ENTRY(remainder, NUMBER_ROWS(remainder))
ENTRY(pow, NUMBER_ROWS(pow))
ENTRY(maximum, NUMBER_ROWS(maximum), [ML_BOOL] = ML_NAME(maximum_u8_row))
ENTRY(minimum, NUMBER_ROWS(minimum), [ML_BOOL] = ML_NAME(minimum_u8_row))
ENTRY_COMPARING(eq)
ENTRY_COMPARING(ne)
ENTRY_COMPARING(lt)
ENTRY_COMPARING(le)
ENTRY_COMPARING(gt)
ENTRY_COMPARING(ge)
ENTRY_COMPARING(logical_and)
ENTRY_COMPARING(logical_or)
ENTRY_COMPARING(logical_xor)
ENTRY(bitwise_and, INTEGER_ROWS(bitwise_and), [ML_BOOL] = ML_NAME(bitwise_and_u8_row))
ENTRY(bitwise_or, INTEGER_ROWS(bitwise_or), [ML_BOOL] = ML_NAME(bitwise_or_u8_row))
ENTRY(bitwise_xor, INTEGER_ROWS(bitwise_xor), [ML_BOOL] = ML_NAME(bitwise_xor_u8_row))
ENTRY(bitwise_left_shift, INTEGER_ROWS(bitwise_left_shift))
ENTRY(bitwise_right_shift, INTEGER_ROWS(bitwise_right_shift))
ENTRY_BACKWARD(maximum_backward, 0, 2)
ENTRY_BACKWARD(minimum_backward, 0, 2)
ENTRY_BACKWARD(pow_backward, 0, 2)
ENTRY_BACKWARD(where_backward, 1, 1)

static int ML_NAME(where)(const ml_array *a, const void *settings)
{
    (void)settings;
    if (a[0].dtype != ML_BOOL || a[1].dtype != a[3].dtype || a[2].dtype != a[3].dtype)
        return ML_BAD_DTYPE;
    int64_t itemsize = ml_itemsizes[a[3].dtype];
    ml_row row = itemsize == 4 ? ML_NAME(where_4_row) : itemsize == 8 ? ML_NAME(where_8_row) : ML_NAME(where_1_row);
    return ml_nest_run(row, NULL, a, 3, 1, NEST_EXPAND);
}

static const arithmetic_kernels ML_NAME(table) = {
    ML_NAME(add), ML_NAME(sub), ML_NAME(mul), ML_NAME(div),
    ML_NAME(floor_divide), ML_NAME(trunc_divide), ML_NAME(remainder), ML_NAME(pow), ML_NAME(maximum), ML_NAME(minimum),
    ML_NAME(eq), ML_NAME(ne), ML_NAME(lt), ML_NAME(le), ML_NAME(gt), ML_NAME(ge),
    ML_NAME(logical_and), ML_NAME(logical_or), ML_NAME(logical_xor), ML_NAME(where),
    ML_NAME(bitwise_and), ML_NAME(bitwise_or), ML_NAME(bitwise_xor),
    ML_NAME(bitwise_left_shift), ML_NAME(bitwise_right_shift),
    ML_NAME(maximum_backward), ML_NAME(minimum_backward), ML_NAME(pow_backward), ML_NAME(where_backward),
};

#undef ITEM
#undef COMPARISONS
#undef FLOAT_ITEMS
#undef OUTSIDE
#undef INTEGER_ITEMS
#undef ROW_LOOPS
#undef ROW_SIGNATURE
#undef ROW
#undef ROW_ADDING
#undef ROW_DIVIDING
#undef ROW_POWER
#undef ROWS_OF_ALL
#undef ROWS_OF_FLOATS
#undef ROWS_OF_INTEGERS
#undef ROW_WHERE
#undef ROW_EXTREME_BACKWARD
#undef ROW_POW_BACKWARD
#undef ROW_WHERE_BACKWARD
#undef ROWS_BACKWARD
#undef FLOAT_ROWS
#undef INTEGER_ROWS
#undef NUMBER_ROWS
#undef TABLE
#undef ENTRY
#undef ENTRY_ADDING
#undef ENTRY_COMPARING
#undef ENTRY_BACKWARD
