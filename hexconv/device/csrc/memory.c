/* The library's allocator: HVX loads and stores want 128-byte alignment everywhere.
 *
 * It counts the bytes that the library holds, and the most that it has held: what the DSP's heap
 * needs, without what an allocator adds for itself.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "shims.h"

/* The library reads whole vectors, up to one beyond what it asked for: the DSP's heap has
   neighbors there, a block of whole pages has none. */
enum { VECTOR = 128, SLACK = 256 };

static uint32_t held, most;

static uint32_t size_of(void *block)
{
    return malloc_usable_size(block) - SLACK;
}

static void count(void *block)
{
    uint32_t now = __atomic_add_fetch(&held, size_of(block), __ATOMIC_SEQ_CST);
    uint32_t before = __atomic_load_n(&most, __ATOMIC_SEQ_CST);
    while (now > before
           && !__atomic_compare_exchange_n(&most, &before, now, 0, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST))
        continue;
}

uint32_t heap_held(void)
{
    return __atomic_load_n(&held, __ATOMIC_SEQ_CST);
}

uint32_t heap_most(void)
{
    return __atomic_exchange_n(&most, heap_held(), __ATOMIC_SEQ_CST);
}

void *shim_memalign(size_t alignment, size_t size)
{
    if (size > SIZE_MAX - SLACK)
        return NULL;
    void *block = memalign(alignment < VECTOR ? VECTOR : alignment, size + SLACK);
    if (block)
        count(block);
    return block;
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
        shim_free(old);
    }
    return fresh;
}

void shim_free(void *old)
{
    if (old)
        __atomic_sub_fetch(&held, size_of(old), __ATOMIC_SEQ_CST);
    free(old);
}
