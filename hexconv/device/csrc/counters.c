/* Packets that the emulator has executed, thread by thread, waits left out.
 *
 * qemu's user mode counts, for each virtual CPU (here: thread), packets, instructions and HVX
 * packets, and shows them in control registers c20, c21 and c22. The library asks
 * qurt_get_core_pcycles before and after each node that it executes: the result is the sum over
 * all threads, taken when the workers have nothing left to do, so that the difference is what
 * that node cost.
 */
#include "counters.h"

#include <sched.h>
#include <stdbool.h>

#include "progress.h"

struct counts {
    uint32_t packets, instructions, hvx_instructions;
};

struct thread {
    uint64_t packets, instructions, hvx_instructions;
    int alive, waiting;
};

static struct thread threads[MAX_THREADS + 1];
static __thread int me;
static __thread struct counts since;
static int selected;
static unsigned calls;

/* r0 = c20; r1 = c21; r2 = c22. The assembler knows no such registers, so the transfers are
 * words: 0x6a000000 is Rd = Cs, Cs in bits 16..20, Rd in bits 0..4; 0xc000 ends the packet. */
static struct counts read_registers(void)
{
    register uint32_t packets asm("r0");
    register uint32_t instructions asm("r1");
    register uint32_t hvx_instructions asm("r2");
    asm volatile(".word 0x6a14c000\n\t.word 0x6a15c001\n\t.word 0x6a16c002"
                 : "=r"(packets), "=r"(instructions), "=r"(hvx_instructions));
    return (struct counts){packets, instructions, hvx_instructions};
}

static void set(int *flag, int value)
{
    __atomic_store_n(flag, value, __ATOMIC_SEQ_CST);
}

void counters_select(int kind)
{
    selected = kind;
    calls = 0;
}

void counters_thread_created(int thread)
{
    set(&threads[thread].waiting, false);
    set(&threads[thread].alive, true);
}

void counters_thread_started(int thread)
{
    me = thread;
    set(&threads[me].alive, true);
    since = read_registers();
}

static void add_up(void)
{
    struct counts now = read_registers();
    threads[me].packets += now.packets - since.packets;
    threads[me].instructions += now.instructions - since.instructions;
    threads[me].hvx_instructions += now.hvx_instructions - since.hvx_instructions;
}

void counters_thread_ended(void)
{
    add_up();
    set(&threads[me].alive, false);
}

void counters_pause(void)
{
    add_up();
    set(&threads[me].waiting, true);
}

void counters_resume(void)
{
    set(&threads[me].waiting, false);
    since = read_registers();
}

/* A worker that was just woken may not have left its wait yet: only a quiet spell that lasts
 * several looks, each after giving the others the processor, counts as quiet. */
static void wait_until_quiet(void)
{
    for (int quiet = 0; quiet < 3; quiet++) {
        for (int i = 0; i <= MAX_THREADS; i++)
            if (i != me && __atomic_load_n(&threads[i].alive, __ATOMIC_SEQ_CST)
                && !__atomic_load_n(&threads[i].waiting, __ATOMIC_SEQ_CST))
                quiet = -1;
        sched_yield();
    }
}

static uint64_t sum_of_threads(void)
{
    uint64_t sum = 0;
    for (int i = 0; i <= MAX_THREADS; i++)
        switch (selected) {
        case COUNTER_PACKETS:
            sum += threads[i].packets;
            break;
        case COUNTER_INSTRUCTIONS:
            sum += threads[i].instructions;
            break;
        case COUNTER_HVX_INSTRUCTIONS:
            sum += threads[i].hvx_instructions;
            break;
        case COUNTER_MAIN_PACKETS:
            sum += i == 0 ? threads[i].packets : 0;
            break;
        }
    return sum;
}

uint64_t counters_total(void)
{
    calls++;
    progress_nodes(calls);
    if (selected == COUNTER_NONE)
        return 0;
    counters_pause();
    wait_until_quiet();
    uint64_t sum = sum_of_threads();
    counters_resume();
    return sum;
}
