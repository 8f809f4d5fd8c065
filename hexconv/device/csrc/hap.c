/* HAP, the DSP platform's services: power votes are accepted, memory is plentiful, and no other
 * library can be loaded. */
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
