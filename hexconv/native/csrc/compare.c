/* Sums of squares, products and differences of two float arrays, in double: one pass. */
#include "simd.h"

enum { LANES_OF_SUMS = 16 };

/* Element i is added to lane i % 16, in order: NumPy forms the same sums. */
struct comparison {
    double sums[5][LANES_OF_SUMS]; /* x * x, y * y, x * y, (x - y)^2, |x - y| */
    double largest[LANES_OF_SUMS], peak[LANES_OF_SUMS]; /* |x - y|, |x| */
    int64_t close; /* |x - y| <= atol + rtol * |x| */
    double rtol, atol;
};

INLINE int32_t add_pair(struct comparison *c, int32_t lane, float of_x, float of_y)
{
    double x = of_x, y = of_y, apart = __builtin_fabs(x - y), size = __builtin_fabs(x);
    c->sums[0][lane] += x * x;
    c->sums[1][lane] += y * y;
    c->sums[2][lane] += x * y;
    c->sums[3][lane] += apart * apart;
    c->sums[4][lane] += apart;
    c->largest[lane] = c->largest[lane] > apart ? c->largest[lane] : apart;
    c->peak[lane] = c->peak[lane] > size ? c->peak[lane] : size;
    return apart <= c->atol + c->rtol * size;
}

void compare_floats(struct comparison *result, const float *restrict x, const float *restrict y,
                    int64_t count)
{
    struct comparison c = *result;
    int64_t first = 0;
    for (; first + LANES_OF_SUMS <= count; first += LANES_OF_SUMS) {
        int32_t close = 0;
        for (int32_t lane = 0; lane < LANES_OF_SUMS; lane++)
            close += add_pair(&c, lane, x[first + lane], y[first + lane]);
        c.close += close;
    }
    for (int32_t lane = 0; first + lane < count; lane++)
        c.close += add_pair(&c, lane, x[first + lane], y[first + lane]);
    *result = c;
}
