/* Formatting one value each, for varargs.c, and where printed text goes. */
#include <stdio.h>
#include <string.h>

#include "shims.h"

/* `spec` is one conversion that varargs.c has cut out of the library's format. */
int format_int(char *to, size_t size, const char *spec, int value)
{
    return snprintf(to, size, spec, value);
}

int format_long_long(char *to, size_t size, const char *spec, long long value)
{
    return snprintf(to, size, spec, value);
}

int format_double(char *to, size_t size, const char *spec, double value)
{
    return snprintf(to, size, spec, value);
}

int format_pointer(char *to, size_t size, const char *spec, const void *value)
{
    return snprintf(to, size, spec, value);
}

void format_print(const char *text, int length)
{
    fwrite(text, 1, length, stderr);
}

int shim_puts(const char *text)
{
    return fprintf(stderr, "%s\n", text);
}

void format_debug(int level, const char *file, int line, const char *message)
{
    const char *slash = strrchr(file, '/');
    fprintf(stderr, "HAP %d %s:%d: %s\n", level, slash ? slash + 1 : file, line, message);
}

void shim_hap_debug(const char *message, int level, const char *file, int line)
{
    format_debug(level, file, line, message);
}
