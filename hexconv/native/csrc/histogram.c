/* Counts of floats by bins of equal width: bin floor(x * scale) + half. */
#include "simd.h"

enum { BLOCK = 1024 };

/* `counts` has 2 * half + 1 bins, which every x has to fall into. Blocks of bins are computed
 * first: that loop is vectorized, the counting is not. */
void histogram(const float *restrict in, float scale, int32_t half, int64_t *restrict counts,
               int64_t count)
{
    int32_t bins[BLOCK];
    for (int64_t first = 0; first < count; first += BLOCK) {
        int32_t block = count - first < BLOCK ? (int32_t)(count - first) : BLOCK;
        for (int32_t i = 0; i < block; i++) {
            float x = in[first + i], place = __builtin_floorf(x * scale);
            bins[i] = (int32_t)place - (x < 0 && place == 0) + half; /* a product may underflow */
        }
        for (int32_t i = 0; i < block; i++)
            counts[bins[i]]++;
    }
}
