/* Convolutions, and matrix products as convolutions of one pixel: uint8 by uint8 to int32 or uint8.
 *
 * A window is `segments` runs of `length` bytes, one a kernel row: the columns of a window and
 * their channels are contiguous in memory, so that nothing has to be copied. Weights are
 * packed in panels of up to VECTORS * LANES output channels; a panel meets a block of pixels at a
 * time, whose sums stay in registers. */
#include "requantize.h"

struct conv {
    const uint8_t *input;  /* padded, contiguous: images, lines, columns, channels */
    const weight *packed;  /* by pack_weights */
    void *output;          /* uint8 if there are multipliers, else int32 */
    const int32_t *offsets;      /* one a channel: bias and zero corrections */
    const int32_t *multipliers;  /* one a channel, or NULL: the output is the sums */
    int64_t image_stride, line_stride, pixel_stride, segment_stride;  /* bytes of the input */
    int32_t height, width;       /* of the output */
    int32_t segments, length, channels;
    int32_t weight_zero;         /* of the weights as given, 0..255 */
    int32_t shift;
};

enum { TILE = 48 };  /* pixels whose windows stay in the first-level cache; divides by all blocks */

static int32_t groups(int32_t length) { return (length + GROUP - 1) / GROUP; }

/* How many vectors of channels panel `index` of a product has: as even as can be. */
static int32_t panel_count(int32_t channels)
{
    int32_t vectors = (channels + LANES - 1) / LANES;
    return (vectors + VECTORS - 1) / VECTORS;
}

static int32_t panel_start(int32_t channels, int32_t index)
{
    int32_t vectors = (channels + LANES - 1) / LANES;
    return (int32_t)((int64_t)vectors * index / panel_count(channels));
}

int64_t packed_bytes(int32_t segments, int32_t length, int32_t channels)
{
    int64_t vectors = (channels + LANES - 1) / LANES;
    return (int64_t)segments * groups(length) * vectors * LANES * GROUP * (int64_t)sizeof(weight);
}

/* A GROUP of rows of the weights, of which `there` exist, for channels first .. last - 1. */
INLINE weight *pack_group(const uint8_t *rows, int32_t there, int32_t channels, int32_t first,
                          int32_t last, weight *restrict packed)
{
    int32_t valid = channels < last ? channels : last;
    for (int32_t c = first; c < last; c++)
        for (int32_t g = 0; g < GROUP; g++)
            *packed++ = g < there && c < valid
                            ? (weight)(rows[(int64_t)g * channels + c] - WEIGHT_ZERO)
                            : 0;
    return packed;
}

/* weights: (segments * length, channels) uint8. */
void pack_weights(const uint8_t *weights, int32_t segments, int32_t length, int32_t channels,
                  weight *packed)
{
    for (int32_t panel = 0; panel < panel_count(channels); panel++) {
        int32_t first = panel_start(channels, panel) * LANES;
        int32_t last = panel_start(channels, panel + 1) * LANES;
        for (int32_t s = 0; s < segments; s++)
            for (int32_t k = 0; k < length; k += GROUP) {
                const uint8_t *rows = weights + ((int64_t)s * length + k) * channels;
                packed = pack_group(rows, length - k, channels, first, last, packed);
            }
    }
}

/* sums[c]: of the column c of (rows, channels) weights less their zero. */
void column_sums(const uint8_t *restrict weights, int32_t rows, int32_t channels, int32_t zero,
                 int64_t *restrict sums)
{
    for (int32_t c = 0; c < channels; c++)
        sums[c] = -(int64_t)zero * rows;
    for (int32_t r = 0; r < rows; r++, weights += channels)
        for (int32_t c = 0; c < channels; c++)
            sums[c] += weights[c];
}

/* The last `count` data of a segment, fewer than a GROUP: what follows is not read. `p` is their
 * start, and `before` is how many data of the segment precede them. */
INLINE vec broadcast_rest(const uint8_t *p, int32_t count, int32_t before)
{
    uint8_t rest[GROUP] = {0};
#if GROUP == 4
    if (before >= GROUP - count) {
        uint32_t group;
        memcpy(&group, p - (GROUP - count), GROUP);
        group >>= 8 * (GROUP - count);
        memcpy(rest, &group, GROUP);
        return broadcast(rest);
    }
#endif
    (void)before;
    for (int32_t i = 0; i < count; i++)
        rest[i] = p[i];
    return broadcast(rest);
}

/* Sums of `rows` pixels and `vectors` vectors of channels; both are constants where it is called. */
INLINE void block(const struct conv *c, const uint8_t *const *pixels, const weight *panel,
                  int rows, int vectors, int32_t *sums)
{
    vec acc[12][VECTORS];
    int32_t whole = c->length / GROUP, rest = c->length % GROUP;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            acc[r][v] = zeros();
    for (int32_t s = 0; s < c->segments; s++) {
        int64_t at = s * c->segment_stride;
        for (int32_t k = 0; k < whole; k++, at += GROUP) {
            vec w[VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++, panel += LANES * GROUP)
                w[v] = load_weights(panel);
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) {
                vec data = broadcast(pixels[r] + at);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++)
                    acc[r][v] = dot(acc[r][v], data, w[v]);
            }
        }
        if (rest)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++, panel += LANES * GROUP) {
                vec w = load_weights(panel);
#pragma GCC unroll 16
                for (int r = 0; r < rows; r++)
                    acc[r][v] = dot(
                        acc[r][v], broadcast_rest(pixels[r] + at, rest, whole * GROUP), w);
            }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            store(sums + (r * vectors + v) * LANES, acc[r][v]);
}

/* Pixels of a block by the number of vectors: what fits into the registers. */
static const int ROWS[] = {0, 12, 12, 8, 6};
#if VECTORS == 2
#define ROWS_OF_2 6
#else
#define ROWS_OF_2 12
#endif

static int rows_of(int vectors) { return vectors == 2 ? ROWS_OF_2 : ROWS[vectors]; }

static void any_block(const struct conv *c, const uint8_t *const *pixels, const weight *panel,
                      int vectors, int32_t *sums)
{
    switch (vectors) {
    case 1: block(c, pixels, panel, 12, 1, sums); break;
    case 2: block(c, pixels, panel, ROWS_OF_2, 2, sums); break;
#if VECTORS == 4
    case 3: block(c, pixels, panel, 8, 3, sums); break;
    case 4: block(c, pixels, panel, 6, 4, sums); break;
#endif
    }
}

/* The sum of a window's data: what the weights' zero has to be multiplied by. */
static int32_t window_sum(const struct conv *c, const uint8_t *pixel)
{
    uint32_t sum = 0;
    for (int32_t s = 0; s < c->segments; s++) {
        const uint8_t *run = pixel + s * c->segment_stride;
        for (int32_t i = 0; i < c->length; i++)
            sum += run[i];
    }
    return (int32_t)sum;
}

static void write_pixel(const struct conv *c, int64_t pixel, int32_t first, int32_t count,
                        int32_t *sums, int32_t correction)
{
    int64_t at = pixel * c->channels + first;
    if (correction)
        for (int32_t i = 0; i < count; i++)
            sums[i] = (int32_t)((uint32_t)sums[i] - (uint32_t)correction);
    if (c->multipliers) {
        requantize_run(sums, c->offsets + first, c->multipliers + first, c->shift,
                       (uint8_t *)c->output + at, count);
        return;
    }
    int32_t *out = (int32_t *)c->output + at;
    for (int32_t i = 0; i < count; i++)
        out[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)c->offsets[first + i]);
}

/* An output pixel: where its window starts, and how many follow it in its line and its image. */
struct place {
    const uint8_t *pixel, *line, *image;
    int32_t columns, lines;
};

static struct place place_of(const struct conv *c, int64_t pixel)
{
    int64_t line = pixel / c->width, image = line / c->height;
    int32_t x = (int32_t)(pixel % c->width), y = (int32_t)(line % c->height);
    struct place at = {.columns = c->width - x, .lines = c->height - y};
    at.image = c->input + image * c->image_stride;
    at.line = at.image + y * c->line_stride;
    at.pixel = at.line + x * c->pixel_stride;
    return at;
}

static void next(const struct conv *c, struct place *at)
{
    at->pixel += c->pixel_stride;
    if (--at->columns)
        return;
    at->columns = c->width;
    at->line += c->line_stride;
    if (--at->lines == 0) {
        at->lines = c->height;
        at->line = at->image += c->image_stride;
    }
    at->pixel = at->line;
}

/* `count` pixels from `start` on, at most TILE. */
static void tile(const struct conv *c, int64_t start, int32_t count)
{
    const uint8_t *pixels[TILE + 12];
    int32_t corrections[TILE], sums[12 * VECTORS * LANES];
    int32_t zero = c->weight_zero - WEIGHT_ZERO;
    struct place at = place_of(c, start);
    for (int32_t i = 0; i < count; i++) {
        pixels[i] = at.pixel;
        corrections[i] = zero ? (int32_t)((uint32_t)zero * (uint32_t)window_sum(c, at.pixel)) : 0;
        next(c, &at);
    }
    for (int32_t i = count; i < count + 12; i++)
        pixels[i] = pixels[count - 1];  /* fills the last block; its sums are not written */
    const weight *panel = c->packed;
    int64_t step = (int64_t)c->segments * groups(c->length) * LANES * GROUP;
    for (int32_t p = 0; p < panel_count(c->channels); p++) {
        int32_t first = panel_start(c->channels, p), last = panel_start(c->channels, p + 1);
        int vectors = last - first, rows = rows_of(vectors), width = vectors * LANES;
        int32_t valid = c->channels - first * LANES;
        valid = valid < width ? valid : width;
        for (int32_t i = 0; i < count; i += rows) {
            any_block(c, pixels + i, panel, vectors, sums);
            for (int32_t r = 0; r < rows && i + r < count; r++)
                write_pixel(c, start + i + r, first * LANES, valid, sums + r * width,
                            corrections[i + r]);
        }
        panel += step * vectors;
    }
}

/* Output pixels first .. last - 1, counted over all images. */
void convolve(const struct conv *c, int64_t first, int64_t last)
{
    for (int64_t start = first; start < last; start += TILE)
        tile(c, start, (int32_t)(last - start < TILE ? last - start : TILE));
}

/* `count` products of (height, depth) by (depth, width) matrices, less their zeros: int32.
 * `packed`, `sums` and `offsets` have room for one. */
void multiply_matrices(const uint8_t *a, const uint8_t *b, int32_t *out, weight *packed,
                       int64_t *sums, int32_t *offsets, int32_t count, int32_t height,
                       int32_t depth, int32_t width, int32_t zero_a, int32_t zero_b)
{
    for (int32_t i = 0; i < count; i++) {
        pack_weights(b, 1, depth, width, packed);
        column_sums(b, depth, width, zero_b, sums);
        for (int32_t c = 0; c < width; c++)
            offsets[c] = (int32_t)(uint32_t)(-zero_a * sums[c]);
        struct conv c = {.input = a, .packed = packed, .output = out, .offsets = offsets,
                         .pixel_stride = depth, .height = 1, .width = height, .segments = 1,
                         .length = depth, .channels = width, .weight_zero = zero_b};
        convolve(&c, 0, height);
        a += (int64_t)height * depth;
        b += (int64_t)depth * width;
        out += (int64_t)height * width;
    }
}

const char *isa(void) { return ISA; }
