/* The functions that the library expects to find: a table from name to address. */
#include "imports.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shims.h"

#define SAVED_THROUGH(X, last)                                                                  \
    X(__save_r16_through_r##last)                                                               \
    X(__restore_r16_through_r##last##_and_deallocframe)                                         \
    X(__restore_r16_through_r##last##_and_deallocframe_before_tailcall)

/* The compiler's own helpers: only their addresses matter here. The arithmetic comes from zig's
 * runtime, the register savers from regsave.S. */
#define COMPILER_HELPERS(X)                                                                     \
    X(__hexagon_adddf3) X(__hexagon_subdf3) X(__hexagon_muldf3) X(__hexagon_divsf3)             \
    X(__hexagon_divsi3) X(__hexagon_divdi3) X(__hexagon_modsi3) X(__hexagon_udivsi3)            \
    X(__hexagon_udivdi3) X(__hexagon_umodsi3)                                                   \
    X(__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes)                                    \
    SAVED_THROUGH(X, 17) SAVED_THROUGH(X, 19) SAVED_THROUGH(X, 21)                              \
    SAVED_THROUGH(X, 23) SAVED_THROUGH(X, 25) SAVED_THROUGH(X, 27)

/* Functions of the C library that mean the same on both sides. */
#define C_LIBRARY(X)                                                                            \
    X(srand) X(rand) X(qsort)                                                                   \
    X(memcmp) X(memcpy) X(memset) X(memmove)                                                    \
    X(strncat) X(strchr) X(strcmp) X(strcpy) X(strncmp) X(strncpy) X(strlcpy) X(strlen)         \
    X(strstr)                                                                                   \
    X(cosf) X(sinf) X(atan2f) X(tanhf) X(expf) X(expm1f) X(logf) X(log2f) X(powf) X(sqrtf)      \
    X(hypotf) X(ldexpf) X(frexp) X(fmax) X(fmin) X(round) X(roundf) X(ceilf) X(floorf)

#define DECLARE(name) extern char name[];
COMPILER_HELPERS(DECLARE)

static const struct {
    const char *name;
    void *address;
} table[] = {
#define SAME(name) {#name, (void *)name},
    COMPILER_HELPERS(SAME) C_LIBRARY(SAME)
#define STANDS_FOR(name, function) {#name, (void *)function},
    STANDS_FOR(snprintf, shim_snprintf)
    STANDS_FOR(vsnprintf, shim_vsnprintf)
    STANDS_FOR(printf, shim_printf)
    STANDS_FOR(puts, shim_puts)
    STANDS_FOR(HAP_debug, shim_hap_debug)
    STANDS_FOR(HAP_debug_v2, shim_hap_debug_v2)
    /* the library was linked with its allocator wrapped */
    STANDS_FOR(__wrap_malloc, shim_malloc)
    STANDS_FOR(__wrap_calloc, shim_calloc)
    STANDS_FOR(__wrap_realloc, shim_realloc)
    STANDS_FOR(__wrap_memalign, shim_memalign)
    STANDS_FOR(__wrap_free, shim_free)
    STANDS_FOR(dlopen, shim_dlopen)
    STANDS_FOR(dlsym, shim_dlsym)
    STANDS_FOR(dlclose, shim_dlclose)
    STANDS_FOR(qurt_thread_create, shim_thread_create)
    STANDS_FOR(qurt_thread_exit, shim_thread_exit)
    STANDS_FOR(qurt_thread_join, shim_thread_join)
    STANDS_FOR(qurt_thread_get_id, shim_thread_get_id)
    STANDS_FOR(qurt_thread_get_priority, shim_thread_get_priority)
    STANDS_FOR(qurt_thread_set_priority, shim_thread_set_priority)
    STANDS_FOR(qurt_futex_wait, shim_futex_wait)
    STANDS_FOR(qurt_futex_wake, shim_futex_wake)
    STANDS_FOR(qurt_sem_add, shim_sem_add)
    STANDS_FOR(qurt_hvx_lock, shim_hvx_lock)
    STANDS_FOR(qurt_hvx_unlock, shim_hvx_unlock)
    STANDS_FOR(qurt_hvx_get_units, shim_hvx_get_units)
    STANDS_FOR(qurt_sysenv_get_arch_version, shim_arch_version)
    STANDS_FOR(qurt_sysenv_get_max_hw_threads, shim_max_hw_threads)
    STANDS_FOR(qurt_pmu_get, shim_pmu_get)
    STANDS_FOR(qurt_pmu_set, shim_pmu_set)
    STANDS_FOR(qurt_sysclock_get_hw_ticks, shim_hw_ticks)
    STANDS_FOR(qurt_timer_timetick_to_us, shim_ticks_to_us)
    STANDS_FOR(qurt_get_core_pcycles, shim_core_pcycles)
    STANDS_FOR(HAP_mem_set_grow_size, shim_mem_set_grow_size)
    STANDS_FOR(HAP_mem_get_stats, shim_mem_get_stats)
    STANDS_FOR(HAP_power_get, shim_power_get)
    STANDS_FOR(HAP_power_set, shim_power_set)
    STANDS_FOR(HAP_query_total_VTCM, shim_vtcm_size)
    STANDS_FOR(HAP_request_VTCM, shim_vtcm_request)
    STANDS_FOR(HAP_request_async_VTCM, shim_vtcm_request_async)
    STANDS_FOR(HAP_release_VTCM, shim_vtcm_release)
    STANDS_FOR(fopen, shim_no_file)
    STANDS_FOR(fclose, shim_no_file)
    STANDS_FOR(fputs, shim_no_file)
    STANDS_FOR(fwrite, shim_no_file)
    STANDS_FOR(fastrpc_send_early_signal, shim_early_signal)
    /* unwinding tables and exit handlers: nothing unwinds, and the process just ends */
    STANDS_FOR(__register_frame_info_bases, shim_nothing)
    STANDS_FOR(__cxa_finalize, shim_nothing)
};

void *import_address(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].address;
    return NULL;
}
