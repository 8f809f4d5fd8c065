/* The library's allocator: HVX loads and stores want 128-byte alignment everywhere. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shims.h"

/* The library reads whole vectors, up to one beyond what it asked for: the DSP's heap has
   neighbors there, a block of whole pages has none. */
enum { VECTOR = 128, SLACK = 256 };

void *shim_memalign(size_t alignment, size_t size)
{
    if (size > SIZE_MAX - SLACK)
        return NULL;
    return memalign(alignment < VECTOR ? VECTOR : alignment, size + SLACK);
}

void *shim_malloc(size_t size)
{
    return shim_memalign(VECTOR, size);
}

void *shim_calloc(size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    void *fresh = shim_malloc(count * size);
    if (fresh)
        memset(fresh, 0, count * size);
    return fresh;
}

void *shim_realloc(void *old, size_t size)
{
    void *fresh = shim_malloc(size);
    if (fresh && old) {
        size_t had = malloc_usable_size(old);
        memcpy(fresh, old, had < size ? had : size);
        free(old);
    }
    return fresh;
}

void shim_free(void *old)
{
    free(old);
}
