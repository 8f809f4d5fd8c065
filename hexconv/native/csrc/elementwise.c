/* Passes over uint8 tensors: sums and products of two, slopes, tables, and scales from and to
 * wider types. Parameters are copied first: bytes may alias anything, and so would stop the
 * compiler from vectorizing. */
#include "simd.h"

typedef const uint8_t *restrict codes_in;
typedef uint8_t *restrict codes_out;

INLINE uint8_t saturated(int32_t code) { return code < 0 ? 0 : code > 255 ? 255 : (uint8_t)code; }
INLINE uint8_t cut(double code) { return (uint8_t)(code < 0 ? 0 : code > 255 ? 255 : code); }

/* Two operands that stretch along sizes of one: strides of 0 there. */
struct pair {
    const uint8_t *a, *b;
    uint8_t *output;
    int64_t sizes[4];               /* of the output; the last is the innermost */
    int64_t strides_a[4], strides_b[4];
};

struct sum {
    struct pair of;
    int32_t scale_a, scale_b, bias, shift;
};

INLINE void add_run(struct sum s, codes_in a, codes_in b, codes_out out, int64_t count,
                    int64_t step_a, int64_t step_b)
{
    for (int64_t i = 0; i < count; i++) {
        int32_t total = a[i * step_a] * s.scale_a + b[i * step_b] * s.scale_b + s.bias;
        out[i] = saturated(total >> s.shift);
    }
}

struct product {
    struct pair of;
    int32_t zero_a, zero_b, bias;  /* p = (a - zero_a) * (b - zero_b) - bias */
    int32_t scale, offset, shift;  /* ((p * scale + 2^14 >> 15) + offset) >> shift */
};

INLINE void multiply_run(struct product m, codes_in a, codes_in b, codes_out out, int64_t count,
                         int64_t step_a, int64_t step_b)
{
    for (int64_t i = 0; i < count; i++) {
        int16_t product =
            (int16_t)((a[i * step_a] - m.zero_a) * (b[i * step_b] - m.zero_b) - m.bias);
        int32_t code = (product * m.scale + (1 << 14)) >> 15;
        out[i] = saturated((code + m.offset) >> m.shift);
    }
}

/* Innermost runs first .. last - 1; constant steps let the compiler vectorize each case. */
#define EACH_RUN(NAME, RUN, TYPE)                                                                 \
    void NAME(const struct TYPE *given, int64_t first, int64_t last)                              \
    {                                                                                             \
        const struct TYPE t = *given;                                                             \
        const struct pair p = given->of;                                                          \
        for (int64_t run = first; run < last; run++) {                                            \
            int64_t k = run % p.sizes[2], outer = run / p.sizes[2];                               \
            int64_t j = outer % p.sizes[1], i = outer / p.sizes[1];                               \
            codes_in a = p.a + i * p.strides_a[0] + j * p.strides_a[1] + k * p.strides_a[2];      \
            codes_in b = p.b + i * p.strides_b[0] + j * p.strides_b[1] + k * p.strides_b[2];      \
            codes_out out = p.output + run * p.sizes[3];                                          \
            if (p.strides_a[3] && p.strides_b[3])                                                 \
                RUN(t, a, b, out, p.sizes[3], 1, 1);                                              \
            else if (p.strides_a[3])                                                              \
                RUN(t, a, b, out, p.sizes[3], 1, 0);                                              \
            else                                                                                  \
                RUN(t, a, b, out, p.sizes[3], 0, 1);                                              \
        }                                                                                         \
    }

EACH_RUN(add, add_run, sum)
EACH_RUN(multiply, multiply_run, product)

struct slopes {
    const uint8_t *input;
    uint8_t *output;
    const int32_t *gains;  /* below zero, one a channel */
    int32_t channels, zero, gain;
    int32_t bias, shift;
};

/* ((code - zero) * 128 * gain + bias) >> shift, by one gain on each side of zero. */
void prelu(const struct slopes *given, int64_t first, int64_t last)
{
    const struct slopes s = *given;
    const int32_t *restrict gains = s.gains;
    for (int64_t pixel = first; pixel < last; pixel++) {
        codes_in in = s.input + pixel * s.channels;
        codes_out out = s.output + pixel * s.channels;
        for (int32_t c = 0; c < s.channels; c++) {
            int32_t distance = in[c] - s.zero;
            int32_t total = distance * (distance < 0 ? gains[c] : s.gain) * 128 + s.bias;
            out[c] = saturated(total >> s.shift);
        }
    }
}

void look_up(codes_in table, codes_in in, codes_out out, int64_t count)
{
    int64_t i = 0;
#if defined(__AVX512VBMI__) && defined(__AVX512BW__)
    __m512i low = _mm512_loadu_si512(table), middle = _mm512_loadu_si512(table + 64);
    __m512i high = _mm512_loadu_si512(table + 128), top = _mm512_loadu_si512(table + 192);
    for (; i + 64 <= count; i += 64) {
        __m512i codes = _mm512_loadu_si512(in + i);
        __m512i below = _mm512_permutex2var_epi8(low, codes, middle);
        __m512i above = _mm512_permutex2var_epi8(high, codes, top);
        __m512i found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), below, above);
        _mm512_storeu_si512(out + i, found);
    }
#endif
    for (; i < count; i++)
        out[i] = table[in[i]];
}

void dequantize(const float *restrict table, codes_in in, float *restrict out, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = table[in[i]];
}

/* (rows, depth) by (depth, width), terms added in their order, each rounded to float. */
void multiply_floats(const float *restrict a, const float *restrict b, float *restrict out,
                     int64_t rows, int64_t depth, int64_t width)
{
    for (int64_t i = 0; i < rows * width; i++)
        out[i] = 0;
    for (int64_t r = 0; r < rows; r++, a += depth, out += width)
        for (int64_t k = 0; k < depth; k++)
            for (int64_t c = 0; c < width; c++)
                out[c] += a[k] * b[k * width + c];
}

/* (x - subtract) * factor + 1/2: doubles hold every value that does not saturate. */
void scale_down(const int32_t *restrict in, double subtract, double factor, codes_out out,
                int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = cut(((double)in[i] - subtract) * factor + 0.5);
}

/* (trunc(x * power) + offset) * factor (nnlib autoquantize_h.S). */
void quantize(const float *restrict in, double power, double offset, double factor, codes_out out,
              int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = cut((__builtin_trunc((double)in[i] * power) + offset) * factor);
}
