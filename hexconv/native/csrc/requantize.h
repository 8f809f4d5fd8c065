/* From int32 sums to uint8: sat8(((sum << shift) * multiplier + 2^30) >> 31), as the library
 * does it (nnlib supernode_utils.h); the sum and its shift are kept in 32 bits. */
#ifndef HEXCONV_REQUANTIZE_H
#define HEXCONV_REQUANTIZE_H

#include "simd.h"

INLINE uint8_t requantized(uint32_t sum, int32_t multiplier, int32_t shift)
{
    int64_t scaled = (int64_t)(int32_t)(sum << shift) * multiplier + (1 << 30);
    uint64_t code = (uint64_t)(scaled < 0 ? 0 : scaled) >> 31;
    return code > 255 ? 255 : (uint8_t)code;
}

/* A run of `count` channels: sums[i] + offsets[i] become out[i]. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
INLINE void requantize_run(const int32_t *sums, const int32_t *offsets, const int32_t *multipliers,
                           int32_t shift, uint8_t *out, int32_t count)
{
    const __m512i half = _mm512_set1_epi64(1 << 30);
    for (int32_t i = 0; i < count; i += 16) {
        __mmask16 valid = count - i >= 16 ? 0xFFFF : (__mmask16)((1u << (count - i)) - 1);
        __m512i sum = _mm512_maskz_loadu_epi32(valid, sums + i);
        sum = _mm512_add_epi32(sum, _mm512_maskz_loadu_epi32(valid, offsets + i));
        sum = _mm512_sll_epi32(sum, _mm_cvtsi32_si128(shift));
        __m512i factor = _mm512_maskz_loadu_epi32(valid, multipliers + i);
        __m512i even = _mm512_add_epi64(_mm512_mul_epi32(sum, factor), half);
        __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(sum, 32), _mm512_srli_epi64(factor, 32));
        odd = _mm512_add_epi64(odd, half);
        even = _mm512_srli_epi64(even, 31);
        odd = _mm512_slli_epi64(odd, 1);
        __m512i codes = _mm512_mask_blend_epi32(0xAAAA, even, odd);
        codes = _mm512_max_epi32(codes, _mm512_setzero_si512());
        _mm512_mask_cvtusepi32_storeu_epi8(out + i, valid, codes);
    }
}
#else
INLINE void requantize_run(const int32_t *sums, const int32_t *offsets, const int32_t *multipliers,
                           int32_t shift, uint8_t *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        out[i] = requantized((uint32_t)sums[i] + (uint32_t)offsets[i], multipliers[i], shift);
}
#endif

#endif
