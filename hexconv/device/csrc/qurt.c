/* QuRT, the DSP's operating system, on Linux: threads are pthreads, futexes are futexes.
 *
 * The rest is what the library's DSP says of itself. Two HVX units are two vector worker
 * threads; with one, nodes that wait for a vector worker would wait for ever.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"
#include "elf_loader.h"
#include "shims.h"

enum {
    STACK_SIZE = 1 << 20, /* more than the library asks for: formatting runs on Linux's libc */
    MAIN_THREAD_ID = 0xfff,
    MAIN_PRIORITY = 0xc0,
    HVX_UNITS = 2 << 8, /* number of 128-byte units in bits 8..15 */
    HARDWARE_THREADS = 4,
};

static struct {
    pthread_t handle;
    void (*start)(void *);
    void *argument;
    int used, status;
} threads[MAX_THREADS + 1]; /* from 1: 0 is the main thread */

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int me;

static void *run_thread(void *number)
{
    me = (intptr_t)number;
    counters_thread_started(me);
    threads[me].start(threads[me].argument);
    counters_thread_ended();
    return NULL;
}

static int free_thread(void)
{
    int found = 0;
    pthread_mutex_lock(&threads_lock);
    for (int i = 1; i <= MAX_THREADS && !found; i++)
        if (!threads[i].used)
            found = i;
    threads[found].used = found != 0;
    pthread_mutex_unlock(&threads_lock);
    return found;
}

int shim_thread_create(uint32_t *id, const void *attributes, void (*start)(void *), void *argument)
{
    (void)attributes; /* name, priority and stack: none of them matters here */
    int number = free_thread();
    if (!number)
        return -1;
    threads[number].start = start;
    threads[number].argument = argument;
    threads[number].status = 0;
    counters_thread_created(number);
    *id = number;
    pthread_attr_t large_stack;
    pthread_attr_init(&large_stack);
    pthread_attr_setstacksize(&large_stack, STACK_SIZE);
    if (pthread_create(&threads[number].handle, &large_stack, run_thread,
                       (void *)(intptr_t)number) != 0) {
        fprintf(stderr, "no thread can be created\n");
        exit(EXIT_FAILURE);
    }
    return 0;
}

void shim_thread_exit(int status)
{
    threads[me].status = status;
    counters_thread_ended();
    pthread_exit(NULL);
}

int shim_thread_join(unsigned id, int *status)
{
    if (id == 0 || id > MAX_THREADS || !threads[id].used)
        return -1;
    counters_pause();
    int failed = pthread_join(threads[id].handle, NULL);
    counters_resume();
    if (status)
        *status = threads[id].status;
    threads[id].used = false;
    return failed;
}

unsigned shim_thread_get_id(void)
{
    return me ? me : MAIN_THREAD_ID;
}

int shim_thread_get_priority(unsigned id)
{
    (void)id;
    return MAIN_PRIORITY;
}

int shim_thread_set_priority(unsigned id, unsigned short priority)
{
    (void)id;
    (void)priority;
    return 0;
}

int shim_futex_wait(void *word, int value)
{
    counters_pause();
    int result = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    counters_resume();
    return result;
}

int shim_futex_wake(void *word, int count)
{
    return syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* The library imports it and, as far as has been seen, never calls it. */
int shim_sem_add(void *semaphore, unsigned count)
{
    (void)semaphore;
    (void)count;
    fprintf(stderr, "the library called qurt_sem_add, which is not provided\n");
    exit(EXIT_FAILURE);
}

int shim_hvx_lock(int mode)
{
    (void)mode;
    return 0;
}

int shim_hvx_unlock(void)
{
    return 0;
}

int shim_hvx_get_units(void)
{
    return HVX_UNITS;
}

int shim_arch_version(uint32_t *version)
{
    *version = elf_architecture();
    return 0;
}

int shim_max_hw_threads(uint32_t *count)
{
    *count = HARDWARE_THREADS;
    return 0;
}

unsigned shim_pmu_get(int id)
{
    (void)id;
    return 0;
}

void shim_pmu_set(int id, unsigned value)
{
    (void)id;
    (void)value;
}

uint64_t shim_hw_ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

uint64_t shim_ticks_to_us(uint64_t ticks)
{
    return ticks / 1000;
}

uint64_t shim_core_pcycles(void)
{
    return counters_total();
}
