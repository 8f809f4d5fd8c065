/* Packets that the emulator has executed, thread by thread, waits left out. */
#ifndef HEXCONV_COUNTERS_H
#define HEXCONV_COUNTERS_H

#include <stdint.h>

enum { COUNTER_NONE = 0, COUNTER_PACKETS, COUNTER_INSTRUCTIONS, COUNTER_HVX_INSTRUCTIONS,
       COUNTER_MAIN_PACKETS, COUNTER_KINDS };

enum { MAX_THREADS = 256 };

/* Which number `counters_total` returns from now on. */
void counters_select(int kind);

/* A thread is about to be created (called by its creator), and has ended (called by itself). */
void counters_thread_created(int thread);
void counters_thread_ended(void);

/* The calling thread starts counting; `thread` is its number, the main thread's is 0. */
void counters_thread_started(int thread);

/* Around every wait: what a thread executes in between is not counted. */
void counters_pause(void);
void counters_resume(void);

/* The selected count over all threads, taken when every other thread waits. */
uint64_t counters_total(void);

#endif
