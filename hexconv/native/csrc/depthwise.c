/* Depthwise convolutions: one filter a channel, uint8 to uint8 or to int32 sums. */
#include "requantize.h"

struct depthwise {
    const uint8_t *input;        /* padded, contiguous: images, lines, columns, channels */
    const int16_t *weights;      /* (rows, columns, channels), zero taken off */
    void *output;                /* uint8 if there are multipliers, else int32 */
    const int32_t *offsets;      /* one a channel: bias and zero corrections */
    const int32_t *multipliers;  /* one a channel, or NULL: the output is the sums */
    int64_t image_stride, line_stride, pixel_stride, segment_stride;  /* bytes of the input */
    int32_t height, width;       /* of the output */
    int32_t rows, columns, channels;
    int32_t shift;
};

enum { PIXELS = 4, RUN = 16 };  /* sums of 4 pixels, 16 channels each, stay in registers */

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
typedef __m512i wide;
INLINE wide no_sums(void) { return _mm512_setzero_si512(); }
INLINE wide wide_weights(const int16_t *p)
{
    return _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)p));
}
/* Data fill the low halves of words whose high halves are zero: pairs of products are single. */
INLINE wide multiply_add(wide sums, const uint8_t *data, wide weights)
{
    return _mm512_dpwssd_epi32(
        sums, _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)data)), weights);
}
#else
typedef struct { int32_t at[RUN]; } wide;
INLINE wide no_sums(void) { return (wide){{0}}; }
INLINE wide wide_weights(const int16_t *p)
{
    wide weights;
    for (int i = 0; i < RUN; i++)
        weights.at[i] = p[i];
    return weights;
}
INLINE wide multiply_add(wide sums, const uint8_t *data, wide weights)
{
    for (int i = 0; i < RUN; i++)
        sums.at[i] += data[i] * weights.at[i];
    return sums;
}
#endif

/* Sums of 16 channels from `channel` on, of `PIXELS` pixels. */
INLINE void run16(const struct depthwise *d, const uint8_t *const *pixels, int32_t channel,
                  int32_t *sums)
{
    wide acc[PIXELS];
#pragma GCC unroll 4
    for (int p = 0; p < PIXELS; p++)
        acc[p] = no_sums();
    const int16_t *weights = d->weights + channel;
    for (int32_t row = 0; row < d->rows; row++)
        for (int32_t column = 0; column < d->columns; column++, weights += d->channels) {
            int64_t at = row * d->segment_stride + (int64_t)column * d->channels + channel;
            wide w = wide_weights(weights);
#pragma GCC unroll 4
            for (int p = 0; p < PIXELS; p++)
                acc[p] = multiply_add(acc[p], pixels[p] + at, w);
        }
    memcpy(sums, acc, sizeof acc);
}

static void few(const struct depthwise *d, const uint8_t *pixel, int32_t channel, int32_t count,
                int32_t *sums)
{
    memset(sums, 0, (size_t)count * sizeof *sums);
    const int16_t *weights = d->weights + channel;
    for (int32_t row = 0; row < d->rows; row++)
        for (int32_t column = 0; column < d->columns; column++, weights += d->channels) {
            int64_t at = row * d->segment_stride + (int64_t)column * d->channels + channel;
            for (int32_t c = 0; c < count; c++)
                sums[c] += pixel[at + c] * weights[c];
        }
}

static void write_run(const struct depthwise *d, int64_t pixel, int32_t channel, int32_t count,
                      const int32_t *sums)
{
    int64_t at = pixel * d->channels + channel;
    if (d->multipliers) {
        requantize_run(sums, d->offsets + channel, d->multipliers + channel, d->shift,
                       (uint8_t *)d->output + at, count);
        return;
    }
    int32_t *out = (int32_t *)d->output + at;
    for (int32_t i = 0; i < count; i++)
        out[i] = sums[i] + d->offsets[channel + i];
}

static void block(const struct depthwise *d, const uint8_t *const *pixels, int64_t first,
                  int32_t count)
{
    int32_t sums[PIXELS * RUN], channel = 0;
    for (; channel + RUN <= d->channels; channel += RUN) {
        run16(d, pixels, channel, sums);
        for (int32_t p = 0; p < count; p++)
            write_run(d, first + p, channel, RUN, sums + p * RUN);
    }
    for (int32_t p = 0; p < count && channel < d->channels; p++) {
        few(d, pixels[p], channel, d->channels - channel, sums);
        write_run(d, first + p, channel, d->channels - channel, sums);
    }
}

/* Output lines first .. last - 1, counted over all images. */
void depthwise(const struct depthwise *d, int64_t first, int64_t last)
{
    for (int64_t line = first; line < last; line++) {
        const uint8_t *start = d->input + line / d->height * d->image_stride +
                               line % d->height * d->line_stride;
        for (int32_t x = 0; x < d->width; x += PIXELS) {
            const uint8_t *pixels[PIXELS];
            int32_t count = d->width - x < PIXELS ? d->width - x : PIXELS;
            for (int32_t p = 0; p < PIXELS; p++)
                pixels[p] = start + (x + (p < count ? p : count - 1)) * d->pixel_stride;
            block(d, pixels, line * d->width + x, count);
        }
    }
}
