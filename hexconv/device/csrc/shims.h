/* Replacements for the DSP's operating system and C library; one file per family.
 * Prototypes are those of the Hexagon SDK's headers, as far as the library uses them. */
#ifndef HEXCONV_SHIMS_H
#define HEXCONV_SHIMS_H

#include <stddef.h>
#include <stdint.h>

/* qurt.c: threads, futexes, hardware facts */
int shim_thread_create(uint32_t *id, const void *attributes, void (*start)(void *), void *argument);
void shim_thread_exit(int status);
int shim_thread_join(unsigned id, int *status);
unsigned shim_thread_get_id(void);
int shim_thread_get_priority(unsigned id);
int shim_thread_set_priority(unsigned id, unsigned short priority);
int shim_futex_wait(void *word, int value);
int shim_futex_wake(void *word, int count);
int shim_sem_add(void *semaphore, unsigned count);
int shim_hvx_lock(int mode);
int shim_hvx_unlock(void);
int shim_hvx_get_units(void);
int shim_arch_version(uint32_t *version);
int shim_max_hw_threads(uint32_t *count);
unsigned shim_pmu_get(int id);
void shim_pmu_set(int id, unsigned value);
uint64_t shim_hw_ticks(void);
uint64_t shim_ticks_to_us(uint64_t ticks);
uint64_t shim_core_pcycles(void);

/* hap.c: power and memory services, and libraries loaded later, of which there are none */
int shim_mem_set_grow_size(uint64_t smallest, uint64_t largest);
int shim_mem_get_stats(uint64_t *stats);
int shim_power_get(void *context, void *response);
int shim_power_set(void *context, void *request);
int shim_vtcm_size(unsigned *page_size, unsigned *page_count);
void *shim_vtcm_request(unsigned size, unsigned single_page);
void *shim_vtcm_request_async(unsigned size, unsigned single_page, unsigned timeout);
int shim_vtcm_release(void *block);
void *shim_no_file(void);
int shim_early_signal(uint32_t argument);
void *shim_dlopen(const char *name, int flags);
void *shim_dlsym(void *handle, const char *name);
int shim_dlclose(void *handle);
void shim_nothing(void);

/* memory.c: an allocator aligned for HVX */
void *shim_malloc(size_t size);
void *shim_calloc(size_t count, size_t size);
void *shim_realloc(void *old, size_t size);
void *shim_memalign(size_t alignment, size_t size);
void shim_free(void *old);

/* varargs.c, in the library's own calling convention: never call these from here */
extern char shim_snprintf[], shim_vsnprintf[], shim_printf[], shim_hap_debug_v2[];

/* format.c: what varargs.c needs from this side */
int format_int(char *to, size_t size, const char *spec, int value);
int format_long_long(char *to, size_t size, const char *spec, long long value);
int format_double(char *to, size_t size, const char *spec, double value);
int format_pointer(char *to, size_t size, const char *spec, const void *value);
void format_print(const char *text, int length);
void format_debug(int level, const char *file, int line, const char *message);
int shim_puts(const char *text);
void shim_hap_debug(const char *message, int level, const char *file, int line);

#endif
