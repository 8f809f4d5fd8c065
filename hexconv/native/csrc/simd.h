/* The widest exact dot product of uint8 data and 8-bit weights that the CPU has.
 *
 * LANES int32 sums are formed at once, of GROUP products each:
 *   dot(sums, data, weights): sums[i] += data[0] * w[i][0] + ... + data[GROUP-1] * w[i][GROUP-1].
 * Weights are stored as uint8 value - WEIGHT_ZERO. All of it is exact modulo 2^32: the AVX2 form
 * works on int16, for vpmaddubsw saturates. -DPLAIN_C does without the CPU's own instructions. */
#ifndef HEXCONV_SIMD_H
#define HEXCONV_SIMD_H

#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

#if defined(PLAIN_C)
#define GENERIC
#elif defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define ISA "avx512-vnni"
#define LANES 16
#define GROUP 4
#define WEIGHT_ZERO 128
#define VECTORS 4
typedef __m512i vec;
typedef int8_t weight;
INLINE vec zeros(void) { return _mm512_setzero_si512(); }
INLINE vec broadcast(const uint8_t *p)
{
    int32_t group;
    memcpy(&group, p, 4);
    return _mm512_set1_epi32(group);
}
INLINE vec load_weights(const weight *p) { return _mm512_loadu_si512(p); }
INLINE vec dot(vec sums, vec data, vec weights)
{
    return _mm512_dpbusd_epi32(sums, data, weights);
}
INLINE void store(int32_t *p, vec sums) { _mm512_storeu_si512(p, sums); }

#elif defined(__AVXVNNI__)
#define ISA "avx-vnni"
#define LANES 8
#define GROUP 4
#define WEIGHT_ZERO 128
#define VECTORS 2
typedef __m256i vec;
typedef int8_t weight;
INLINE vec zeros(void) { return _mm256_setzero_si256(); }
INLINE vec broadcast(const uint8_t *p)
{
    int32_t group;
    memcpy(&group, p, 4);
    return _mm256_set1_epi32(group);
}
INLINE vec load_weights(const weight *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vec dot(vec sums, vec data, vec weights)
{
    return _mm256_dpbusd_avx_epi32(sums, data, weights);
}
INLINE void store(int32_t *p, vec sums) { _mm256_storeu_si256((__m256i *)p, sums); }

#elif defined(__AVX2__)
#define ISA "avx2"
#define LANES 8
#define GROUP 2
#define WEIGHT_ZERO 0
#define VECTORS 2
typedef __m256i vec;
typedef int16_t weight;
INLINE vec zeros(void) { return _mm256_setzero_si256(); }
INLINE vec broadcast(const uint8_t *p) { return _mm256_set1_epi32(p[0] | p[1] << 16); }
INLINE vec load_weights(const weight *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vec dot(vec sums, vec data, vec weights)
{
    return _mm256_add_epi32(sums, _mm256_madd_epi16(data, weights));
}
INLINE void store(int32_t *p, vec sums) { _mm256_storeu_si256((__m256i *)p, sums); }

#elif defined(__SSE2__)
#define ISA "sse2"
#define LANES 4
#define GROUP 2
#define WEIGHT_ZERO 0
#define VECTORS 2
typedef __m128i vec;
typedef int16_t weight;
INLINE vec zeros(void) { return _mm_setzero_si128(); }
INLINE vec broadcast(const uint8_t *p) { return _mm_set1_epi32(p[0] | p[1] << 16); }
INLINE vec load_weights(const weight *p) { return _mm_loadu_si128((const __m128i *)p); }
INLINE vec dot(vec sums, vec data, vec weights)
{
    return _mm_add_epi32(sums, _mm_madd_epi16(data, weights));
}
INLINE void store(int32_t *p, vec sums) { _mm_storeu_si128((__m128i *)p, sums); }

#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#define ISA "neon-dotprod"
#define LANES 4
#define GROUP 4
#define WEIGHT_ZERO 0
#define VECTORS 4
typedef uint32x4_t vec;
typedef uint8_t weight;
INLINE vec zeros(void) { return vdupq_n_u32(0); }
INLINE vec broadcast(const uint8_t *p)
{
    uint32_t group;
    memcpy(&group, p, 4);
    return vdupq_n_u32(group);
}
INLINE vec load_weights(const weight *p) { return vreinterpretq_u32_u8(vld1q_u8(p)); }
INLINE vec dot(vec sums, vec data, vec weights)
{
    return vdotq_u32(sums, vreinterpretq_u8_u32(data), vreinterpretq_u8_u32(weights));
}
INLINE void store(int32_t *p, vec sums) { memcpy(p, &sums, sizeof sums); }

#else
#define GENERIC
#endif

#ifdef GENERIC
#define ISA "generic"
#define LANES 4
#define GROUP 1
#define WEIGHT_ZERO 0
#define VECTORS 4
typedef int32_t vec __attribute__((vector_size(16)));
typedef uint8_t weight;
INLINE vec zeros(void) { return (vec){0, 0, 0, 0}; }
INLINE vec broadcast(const uint8_t *p) { return (vec){p[0], p[0], p[0], p[0]}; }
INLINE vec load_weights(const weight *p) { return (vec){p[0], p[1], p[2], p[3]}; }
INLINE vec dot(vec sums, vec data, vec weights) { return sums + data * weights; }
INLINE void store(int32_t *p, vec sums) { memcpy(p, &sums, sizeof sums); }
#endif

#endif
