/* printf and its kin in the library's own calling convention.
 *
 * The library was built for the bare-metal ABI: variable arguments are on the stack and va_list
 * is a plain pointer, unlike Linux, where some of them stay in registers. This file alone is
 * compiled for that ABI (target hexagon-freestanding-none); it cuts the format into single
 * conversions, whose values format.c turns into text.
 */
typedef __builtin_va_list va_list;
typedef __SIZE_TYPE__ size_t;

extern int format_int(char *to, size_t size, const char *spec, int value);
extern int format_long_long(char *to, size_t size, const char *spec, long long value);
extern int format_double(char *to, size_t size, const char *spec, double value);
extern int format_pointer(char *to, size_t size, const char *spec, const void *value);
extern void format_print(const char *text, int length);
extern void format_debug(int level, const char *file, int line, const char *message);

enum { SPEC = 64, PIECE = 1024, MESSAGE = 4096 };

/* One conversion: its text with any `*` replaced by the argument's value, and what it takes. */
struct conversion {
    char spec[SPEC];
    char kind;
    int is_long_long, is_plain;
};

struct text {
    char *to;
    size_t size, length;
};

/* Like snprintf, counts what does not fit. */
static void append(struct text *text, char c)
{
    if (text->length + 1 < text->size)
        text->to[text->length] = c;
    text->length++;
}

static void append_string(struct text *text, const char *from)
{
    for (const char *c = from ? from : "(null)"; *c; c++)
        append(text, *c);
}

static int is_flag(char c)
{
    return c == '-' || c == '+' || c == ' ' || c == '#' || c == '.' || (c >= '0' && c <= '9');
}

/* Read a conversion at `format` (after the %), and return where it ends. */
static const char *read_conversion(const char *format, struct conversion *result, va_list *args)
{
    int used = 0;
    result->spec[used++] = '%';
    result->is_long_long = 0;
    for (; *format && used < SPEC - 24; format++) {
        char c = *format;
        if (c == '*')
            used += format_int(result->spec + used, 16, "%d", __builtin_va_arg(*args, int));
        else if (c == 'l' && format[1] == 'l') {
            result->is_long_long = 1;
            format++;
        } else if (c == 'j' || c == 'q')
            result->is_long_long = 1;
        else if (is_flag(c))
            result->spec[used++] = c;
        else if (c != 'l' && c != 'L' && c != 'h' && c != 'z' && c != 't')
            break;
    }
    result->is_plain = used == 1;
    if (result->is_long_long) {
        result->spec[used++] = 'l';
        result->spec[used++] = 'l';
    }
    result->kind = *format;
    result->spec[used++] = *format;
    result->spec[used] = 0;
    return *format ? format + 1 : format;
}

static void append_value(struct text *text, const struct conversion *conversion, va_list *args)
{
    char piece[PIECE] = "";
    const char *spec = conversion->spec;
    const char *string;
    switch (conversion->kind) {
    case 'd': case 'i': case 'u': case 'x': case 'X': case 'o': case 'c':
        if (conversion->is_long_long)
            format_long_long(piece, sizeof piece, spec, __builtin_va_arg(*args, long long));
        else
            format_int(piece, sizeof piece, spec, __builtin_va_arg(*args, int));
        break;
    case 'f': case 'F': case 'g': case 'G': case 'e': case 'E': case 'a': case 'A':
        format_double(piece, sizeof piece, spec, __builtin_va_arg(*args, double));
        break;
    case 'p':
        format_pointer(piece, sizeof piece, spec, __builtin_va_arg(*args, void *));
        break;
    case 's':
        string = __builtin_va_arg(*args, const char *);
        if (conversion->is_plain) {
            append_string(text, string);
            return;
        }
        format_pointer(piece, sizeof piece, spec, string ? string : "(null)");
        break;
    }
    append_string(text, piece);
}

int shim_vsnprintf(char *to, size_t size, const char *format, va_list args)
{
    struct text text = {to, size, 0};
    struct conversion conversion;
    while (*format) {
        if (*format != '%')
            append(&text, *format++);
        else if (format[1] == '%') {
            append(&text, '%');
            format += 2;
        } else {
            format = read_conversion(format + 1, &conversion, &args);
            append_value(&text, &conversion, &args);
        }
    }
    if (size)
        to[text.length < size ? text.length : size - 1] = 0;
    return text.length;
}

int shim_snprintf(char *to, size_t size, const char *format, ...)
{
    va_list args;
    __builtin_va_start(args, format);
    int length = shim_vsnprintf(to, size, format, args);
    __builtin_va_end(args);
    return length;
}

int shim_printf(const char *format, ...)
{
    char message[MESSAGE];
    va_list args;
    __builtin_va_start(args, format);
    int length = shim_vsnprintf(message, sizeof message, format, args);
    __builtin_va_end(args);
    format_print(message, length < MESSAGE ? length : MESSAGE - 1);
    return length;
}

void shim_hap_debug_v2(int level, const char *file, int line, const char *format, ...)
{
    char message[MESSAGE];
    va_list args;
    __builtin_va_start(args, format);
    shim_vsnprintf(message, sizeof message, format, args);
    __builtin_va_end(args);
    format_debug(level, file, line, message);
}
