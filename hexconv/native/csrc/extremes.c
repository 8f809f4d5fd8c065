/* The smallest and largest element of float arrays. */
#include "simd.h"

/* Bits whose order as integers is that of the floats; NaN is beyond the infinity of its sign. */
INLINE int32_t ordered(int32_t bits)
{
    return bits ^ ((bits >> 31) & INT32_MAX);
}

INLINE float float_of(int32_t key)
{
    int32_t bits = ordered(key);
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static void extremes_of(const float *restrict x, int64_t count, float *low, float *high)
{
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (int64_t i = 0; i < count; i++) {
        int32_t key;
        memcpy(&key, x + i, 4);
        key = ordered(key);
        least = least < key ? least : key;
        most = most > key ? most : key;
    }
    *low = float_of(least);
    *high = float_of(most);
}

void extremes(const float *const *arrays, const int64_t *sizes, float *low, float *high,
              int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        extremes_of(arrays[i], sizes[i], low + i, high + i);
}
