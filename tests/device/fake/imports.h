/* What a Hexagon NN library finds on a DSP: declared here, provided by hexconv's runner. */
#ifndef FAKE_IMPORTS_H
#define FAKE_IMPORTS_H

#include <stddef.h>
#include <stdint.h>

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_memalign(size_t alignment, size_t size);
void __wrap_free(void *old);
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int strcmp(const char *a, const char *b);
size_t strlen(const char *text);
char *strncpy(char *to, const char *from, size_t size);
int snprintf(char *to, size_t size, const char *format, ...);
int vsnprintf(char *to, size_t size, const char *format, __builtin_va_list arguments);
int printf(const char *format, ...);
float roundf(float value);
float sqrtf(float value);
void *HAP_request_VTCM(unsigned size, unsigned single_page);
int HAP_release_VTCM(void *block);
void HAP_debug_v2(int level, const char *file, int line, const char *format, ...);
int qurt_thread_create(uint32_t *id, void *attributes, void (*start)(void *), void *argument);
void qurt_thread_exit(int status);
int qurt_thread_join(unsigned id, int *status);
int qurt_futex_wait(void *word, int value);
int qurt_futex_wake(void *word, int count);
int qurt_hvx_get_units(void);
int qurt_sysenv_get_arch_version(uint32_t *version);
unsigned long long qurt_get_core_pcycles(void);
void *dlopen(const char *name, int flags) __attribute__((weak));
void not_provided_anywhere(void) __attribute__((weak));

#endif
