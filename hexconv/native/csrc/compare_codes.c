/* What `verify` measures of a tensor: a float model's values against uint8 codes, in one pass.
 *
 * All is in steps of the codes' scale, in float. In a block, element i is added to lane i % 16; the
 * lanes are then added to sums in double, in order: NumPy forms the same sums. */
#include "simd.h"

enum { LANES_OF_SUMS = 16, BLOCK = 1024, CODES = 256, TABLES = 4 };

#if defined(__AVX512F__)
enum { WIDTH = 16 };
#elif defined(__AVX__)
enum { WIDTH = 8 };
#else
enum { WIDTH = 4 };
#endif
enum { PARTS = LANES_OF_SUMS / WIDTH };
typedef float floats __attribute__((vector_size(4 * WIDTH)));
typedef floats lanes[PARTS];
typedef float block[BLOCK];

struct distance {
    double sums[5];      /* of u * u, v * v, u * v, (u - v)^2, |u - v| */
    float largest, peak; /* |u - v|, |u| */
    int64_t close;       /* |u - v| <= atol + rtol * |u| */
};

struct coded {
    const uint8_t *codes;
    float inverse, zero; /* u = x * inverse, v = code - zero */
    float rtol, atol;
    struct distance result;
};

/* How well the range fits. */
struct fit {
    double noise, clip_noise; /* squares of what the nearest code is off; of those beyond `slack` */
    int64_t clipped, counts[CODES];
};

/* Values are [image][channel][position], codes are [image][position][channel]. */
struct site {
    const float *expected;
    float *scratch;   /* BLOCK + tile * channels floats; none if there is one channel */
    int64_t positions, channels, tile;
    uint8_t *nearest; /* receives the codes nearest to `expected`, in the scale of `own` */
    float slack;
    struct coded own, running; /* `running` may lack codes */
    struct fit fit;
};

INLINE int32_t whole(int32_t count)
{
    return (count + LANES_OF_SUMS - 1) / LANES_OF_SUMS * LANES_OF_SUMS;
}

INLINE void clear_rest(float *x, int32_t count)
{
    for (int32_t i = count; i < whole(count); i++)
        x[i] = 0;
}

/* In double; each half is added to the other. */
INLINE double total(const lanes of)
{
    double sums[LANES_OF_SUMS];
    for (int32_t i = 0; i < LANES_OF_SUMS; i++)
        sums[i] = of[i / WIDTH][i % WIDTH];
    for (int32_t half = LANES_OF_SUMS / 2; half; half /= 2)
        for (int32_t i = 0; i < half; i++)
            sums[i] += sums[half + i];
    return sums[0];
}

INLINE floats load(const float *from)
{
    floats x;
    memcpy(&x, from, sizeof x);
    return x;
}

/* Of floats that are not negative: their bits are in the same order. NaN is the largest. */
INLINE float largest_of(const float *x, int32_t count, float before)
{
    int32_t most;
    float result;
    memcpy(&most, &before, 4);
    for (int32_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, x + i, 4);
        most = most > bits ? most : bits;
    }
    memcpy(&result, &most, 4);
    return result;
}

static void compare_block(struct coded *of, const float *restrict x, const uint8_t *restrict codes,
                          int32_t count)
{
    block u, v, apart, size;
    const float inverse = of->inverse, zero = of->zero, rtol = of->rtol, atol = of->atol;
    int32_t close = 0;
    for (int32_t i = 0; i < count; i++) {
        u[i] = x[i] * inverse;
        v[i] = (float)codes[i] - zero;
        apart[i] = __builtin_fabsf(u[i] - v[i]);
        size[i] = __builtin_fabsf(u[i]);
        close += apart[i] <= atol + rtol * size[i];
    }
    clear_rest(u, count), clear_rest(v, count), clear_rest(apart, count);
    lanes sums[5] = {{{0}}};
    for (int32_t i = 0; i < whole(count); i += LANES_OF_SUMS)
        for (int32_t part = 0; part < PARTS; part++) {
            int32_t at = i + part * WIDTH;
            floats of_u = load(u + at), of_v = load(v + at), of_apart = load(apart + at);
            sums[0][part] += of_u * of_u;
            sums[1][part] += of_v * of_v;
            sums[2][part] += of_u * of_v;
            sums[3][part] += of_apart * of_apart;
            sums[4][part] += of_apart;
        }
    struct distance *r = &of->result;
    for (int32_t i = 0; i < 5; i++)
        r->sums[i] += total(sums[i]);
    r->largest = largest_of(apart, count, r->largest);
    r->peak = largest_of(size, count, r->peak);
    r->close += close;
}

/* Adding 2^23 rounds a float below it to the nearest integer, ties to even. */
INLINE float nearest_code(float place)
{
    place = place > 0 ? place : 0; /* NaN too */
    place = place < CODES - 1 ? place : CODES - 1;
    return (place + 8388608.0f) - 8388608.0f;
}

static void fit_block(struct site *of, const float *restrict x, uint8_t *restrict codes,
                      int32_t count)
{
    block apart, outside;
    const float inverse = of->own.inverse, zero = of->own.zero, slack = of->slack;
    int32_t clipped = 0;
    for (int32_t i = 0; i < count; i++) {
        float u = x[i] * inverse, nearest = nearest_code(u + zero);
        codes[i] = (uint8_t)(int32_t)nearest;
        apart[i] = u - (nearest - zero);
        int32_t beyond = __builtin_fabsf(apart[i]) > slack;
        outside[i] = beyond ? apart[i] : 0;
        clipped += beyond;
    }
    clear_rest(apart, count), clear_rest(outside, count);
    lanes noise = {{0}}, clip_noise = {{0}};
    for (int32_t i = 0; i < whole(count); i += LANES_OF_SUMS)
        for (int32_t part = 0; part < PARTS; part++) {
            floats all = load(apart + i + part * WIDTH), some = load(outside + i + part * WIDTH);
            noise[part] += all * all;
            clip_noise[part] += some * some;
        }
    of->fit.noise += total(noise);
    of->fit.clip_noise += total(clip_noise);
    of->fit.clipped += clipped;
}

/* Equal codes next to each other go to different tables, so that none waits for the one before. */
INLINE void count_codes(uint32_t counts[TABLES][CODES], const uint8_t *codes, int32_t count)
{
    int32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t eight;
        memcpy(&eight, codes + i, 8);
        for (int32_t k = 0; k < 8; k++)
            counts[k % TABLES][(uint8_t)(eight >> 8 * k)]++;
    }
    for (; i < count; i++)
        counts[0][codes[i]]++;
}

/* Where the next values are, and how many in the order of the codes wait in the scratch. */
struct reader {
    const float *image;
    int64_t position;
    float *waiting;
    int64_t count;
};

/* Four channels at a time: a line of the cache that is written is needed again soon. */
INLINE void transpose(const float *restrict x, int64_t stride, int64_t channels, int64_t positions,
                      float *restrict to)
{
    int64_t channel = 0;
    for (; channel + 4 <= channels; channel += 4)
        for (int64_t position = 0; position < positions; position++)
            for (int64_t k = 0; k < 4; k++)
                to[position * channels + channel + k] = x[(channel + k) * stride + position];
    for (; channel < channels; channel++)
        for (int64_t position = 0; position < positions; position++)
            to[position * channels + channel] = x[channel * stride + position];
}

static void read_tile(const struct site *s, struct reader *r)
{
    int64_t left = s->positions - r->position, count = left < s->tile ? left : s->tile;
    memmove(s->scratch, r->waiting, r->count * sizeof(float));
    r->waiting = s->scratch;
    transpose(r->image + r->position, s->positions, s->channels, count, r->waiting + r->count);
    r->count += count * s->channels;
    r->position += count;
    if (r->position == s->positions) {
        r->image += s->positions * s->channels;
        r->position = 0;
    }
}

/* The next values, in the order of the codes. */
static const float *next_values(const struct site *s, struct reader *r, int32_t count)
{
    const float *values = r->image;
    if (s->channels == 1) {
        r->image += count;
        return values;
    }
    while (r->count < count)
        read_tile(s, r);
    values = r->waiting;
    r->waiting += count;
    r->count -= count;
    return values;
}

/* Block by block, while the block is in the cache. */
void compare_site(struct site *s, int64_t elements)
{
    struct reader reader = {s->expected, 0, s->scratch, 0};
    uint32_t counts[TABLES][CODES] = {{0}};
    for (int64_t first = 0; first < elements; first += BLOCK) {
        int32_t count = elements - first < BLOCK ? (int32_t)(elements - first) : BLOCK;
        const float *x = next_values(s, &reader, count);
        uint8_t *codes = s->nearest + first;
        if (s->running.codes)
            compare_block(&s->running, x, s->running.codes + first, count);
        compare_block(&s->own, x, s->own.codes + first, count);
        fit_block(s, x, codes, count);
        count_codes(counts, codes, count);
    }
    for (int32_t table = 0; table < TABLES; table++)
        for (int32_t code = 0; code < CODES; code++)
            s->fit.counts[code] += counts[table][code];
}
