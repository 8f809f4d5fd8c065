/* Softmax along the innermost axis, from two tables over how far a value is below its row's
 * largest (nnlib op_softmax_d32.c). What happens once a row is left to the caller. */
#include "simd.h"

INLINE uint8_t largest(const uint8_t *row, int32_t depth)
{
    uint8_t most = 0;
    for (int32_t i = 0; i < depth; i++)
        most = row[i] > most ? row[i] : most;
    return most;
}

struct rows {
    const uint8_t *input;
    const int32_t *exponentials;  /* of 0 .. 255 below the largest */
    uint8_t *most;                /* the largest value of each row */
    int64_t *totals;              /* the sum of each row's exponentials, below 2^32 */
    const int32_t *mantissas, *shifts;
    uint8_t *output;
    int32_t depth;
};

/* Of rows first .. last - 1: the largest value, and the sum of the exponentials. */
void exponential_sums(const struct rows *given, int64_t first, int64_t last)
{
    const struct rows s = *given;
    const int32_t *restrict exponentials = s.exponentials;
    for (int64_t r = first; r < last; r++) {
        const uint8_t *restrict in = s.input + r * s.depth;
        uint32_t total = 0;
        int32_t top = largest(in, s.depth);
        for (int32_t i = 0; i < s.depth; i++)
            total += (uint32_t)exponentials[top - in[i]];
        s.most[r] = (uint8_t)top;
        s.totals[r] = total;
    }
}

/* min((exponential * mantissa >> shift) >> 12, 32767), with 6 bits rounded off. */
void scaled_exponentials(const struct rows *given, int64_t first, int64_t last)
{
    const struct rows s = *given;
    const int32_t *restrict exponentials = s.exponentials;
    for (int64_t r = first; r < last; r++) {
        const uint8_t *restrict in = s.input + r * s.depth;
        uint8_t *restrict out = s.output + r * s.depth;
        int32_t mantissa = s.mantissas[r], shift = s.shifts[r], top = s.most[r];
        uint8_t codes[256];
        for (int32_t below = 0; below < 256; below++) {
            int32_t scaled = (exponentials[below] * mantissa) >> shift >> 12;
            int32_t code = ((scaled < 32767 ? scaled : 32767) + 32) >> 6;
            codes[below] = code < 0 ? 0 : code > 255 ? 255 : (uint8_t)code;
        }
        for (int32_t i = 0; i < s.depth; i++)
            out[i] = codes[top - in[i]];
    }
}
