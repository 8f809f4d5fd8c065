/* HAP, the DSP platform's services: power votes are accepted, memory is plentiful, VTCM is plain
 * memory, and no file can be opened and no other library loaded. */
#include <malloc.h>
#include <stdlib.h>

#include "heap.h"
#include "shims.h"

enum { FREE_BYTES = 1 << 30 };

int shim_mem_set_grow_size(uint64_t smallest, uint64_t largest)
{
    (void)smallest;
    (void)largest;
    return 0;
}

/* HAP_mem_stats: bytes free, bytes used, segments free, segments used, smallest growth */
int shim_mem_get_stats(uint64_t *stats)
{
    stats[0] = FREE_BYTES;
    stats[1] = 0;
    stats[2] = 1;
    stats[3] = 1;
    stats[4] = 0;
    return 0;
}

int shim_power_get(void *context, void *response)
{
    (void)context;
    (void)response;
    return 0;
}

int shim_power_set(void *context, void *request)
{
    (void)context;
    (void)request;
    return 0;
}

/* VTCM, the fast memory of DSPs from v65 on: plain memory here, of a phone's size. */
enum { VTCM_BYTES = 256 << 10 };

int shim_vtcm_size(unsigned *page_size, unsigned *page_count)
{
    if (page_size)
        *page_size = VTCM_BYTES;
    if (page_count)
        *page_count = 1;
    return 0;
}

static uint32_t vtcm_requested;
static void *vtcm; /* always the same: where it moves, the library plans its convolutions anew */

uint32_t vtcm_most(void)
{
    return vtcm_requested;
}

void *shim_vtcm_request(unsigned size, unsigned single_page)
{
    (void)single_page;
    if (size > VTCM_BYTES)
        return NULL;
    if (size > vtcm_requested)
        vtcm_requested = size;
    if (!vtcm)
        vtcm = memalign(VTCM_BYTES, VTCM_BYTES);
    return vtcm;
}

void *shim_vtcm_request_async(unsigned size, unsigned single_page, unsigned timeout)
{
    (void)timeout;
    return shim_vtcm_request(size, single_page);
}

int shim_vtcm_release(void *block)
{
    return block != vtcm;
}

/* The v66 library can write a trace to a file: no file can be opened. */
void *shim_no_file(void)
{
    return NULL;
}

int shim_early_signal(uint32_t argument)
{
    (void)argument;
    return 0;
}

void *shim_dlopen(const char *name, int flags)
{
    (void)name;
    (void)flags;
    return NULL;
}

void *shim_dlsym(void *handle, const char *name)
{
    (void)handle;
    (void)name;
    return NULL;
}

int shim_dlclose(void *handle)
{
    (void)handle;
    return 0;
}

/* Unwinding tables and exit handlers: nothing unwinds, and the process just ends. */
void shim_nothing(void)
{
}
