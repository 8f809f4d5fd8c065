/* Calls what the runner provides, in the library's own ABI, and looks at what comes back. */
#include "fake.h"

static int initialized;

/* The linker is told that this is the initializer (DT_INIT), as the real library has one. */
void fake_init(void)
{
    initialized = 1;
}

static int same(const char *text, const char *expected)
{
    if (strcmp(text, expected) == 0)
        return 1;
    log_line("expected <%s>, got <%s>", expected, text);
    return 0;
}

static int formats_are_right(void)
{
    char text[200];
    int length = snprintf(text, sizeof text, "%d|%5u|%-4x|%08X|%c|%s|%.3s|%%|%lld|%5.2f|%*d|%p|%s",
                          -7, 42u, 0xabu, 0xbeefu, 'z', "text", "abcdef", -5000000000ll, 3.14159,
                          6, 9, (void *)0x1234, (const char *)0);
    const char *expected = "-7|   42|ab  |0000BEEF|z|text|abc|%|-5000000000| 3.14|     9|0x1234|(null)";
    return same(text, expected) && length == (int)strlen(expected);
}

static int cut_is_right(void)
{
    char text[6];
    return snprintf(text, sizeof text, "%s-%d", "long", 12345) == 10 && same(text, "long-");
}

static int forward(char *to, size_t size, const char *format, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    int length = vsnprintf(to, size, format, arguments);
    __builtin_va_end(arguments);
    return length;
}

static int va_list_is_right(void)
{
    char text[40];
    forward(text, sizeof text, "%s %llu %g", "a", 18446744073709551615ull, 0.5);
    return same(text, "a 18446744073709551615 0.5");
}

static int memory_is_aligned(void)
{
    uint8_t *a = __wrap_malloc(3), *b = __wrap_calloc(5, 7), *c = __wrap_memalign(4096, 10);
    int aligned = (((uintptr_t)a | (uintptr_t)b) % 128 == 0) && (uintptr_t)c % 4096 == 0;
    for (int i = 0; i < 35; i++)
        aligned = aligned && b[i] == 0;
    a[0] = 1, a[1] = 2, a[2] = 3;
    a = __wrap_realloc(a, 5000);
    aligned = aligned && (uintptr_t)a % 128 == 0 && a[0] == 1 && a[1] == 2 && a[2] == 3;
    __wrap_free(a);
    __wrap_free(b);
    __wrap_free(c);
    return aligned;
}

static volatile uint32_t word;

static void worker(void *argument)
{
    word += *(int *)argument;
    qurt_futex_wake((void *)&word, 1);
    qurt_thread_exit(77);
}

static int threads_work(void)
{
    uint32_t id;
    int step = 5, status = 0;
    if (qurt_thread_create(&id, 0, worker, &step) != 0)
        return 0;
    while (word == 0)
        qurt_futex_wait((void *)&word, 0);
    return qurt_thread_join(id, &status) == 0 && status == 77 && word == 5
           && qurt_thread_join(9999, &status) != 0;
}

/* Volatile operands: the compiler has to call its runtime's helpers. */
static int arithmetic_is_right(void)
{
    volatile uint64_t a = 1000000000007ull, b = 1003;
    volatile int32_t c = -17, d = 5;
    volatile float e = 1.5f, f = 4.0f;
    volatile double g = 2.5, h = 0.125;
    return a / b == 997008973ull && c / d == -3 && c % d == -2 && e / f == 0.375f
           && g + h == 2.625 && g * h == 0.3125 && sqrtf(f) == 2.0f && roundf(-2.5f) == -3.0f;
}

/* Enough values alive across calls that r16.. must be saved, at -Oz by the runtime's helpers. */
__attribute__((noinline)) static int many(int a, int b, int c, int d, int e, int f)
{
    int g = (int)strlen("1") + a, h = (int)strlen("22") + b, i = (int)strlen("333") + c;
    int j = (int)strlen("4444") + d, k = (int)strlen("55555") + e;
    return a * 1 + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + g + h + i + j + k;
}

static int registers_survive(void)
{
    volatile int one = 1;
    return many(one, one, one, one, one, one) == 21 + 5 + 15;
}

static int facts_are_right(void)
{
    uint32_t version = 0;
    return qurt_sysenv_get_arch_version(&version) == 0 && version == 0x8466
           && qurt_hvx_get_units() >> 8 >= 2 && dlopen("x", 0) == 0 && !not_provided_anywhere;
}

/* Pointers in data: relocations of the kinds R_HEX_RELATIVE and R_HEX_32. */
static int (*const checks[])(void) = {
    formats_are_right, cut_is_right, va_list_is_right, memory_is_aligned, threads_work,
    arithmetic_is_right, registers_survive, facts_are_right,
};
size_t (*import_in_data)(const char *) = strlen;

int self_check(void)
{
    if (!initialized)
        return 100;
    if (import_in_data("four") != 4)
        return 101;
    for (unsigned i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (!checks[i]())
            return i + 1;
    return 0;
}
