/* Saying where the library crashed: the signal, and the exported functions on the way there. */
#define _GNU_SOURCE /* names for the registers in ucontext_t */
#include "crash.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <ucontext.h>
#include <unistd.h>

#include "elf_loader.h"

enum { STACK = 1 << 16, MOST_FRAMES = 16 };

static void print_function(const char *label, uint32_t address)
{
    unsigned offset;
    const char *name = elf_function_at(address, &offset);
    if (name)
        fprintf(stderr, "%s %s+0x%x\n", label, name, offset);
}

static void report(int number, siginfo_t *info, void *context)
{
    const mcontext_t *at = &((ucontext_t *)context)->uc_mcontext;
    fprintf(stderr, "signal %d at address %p\n", number, info->si_addr);
    print_function("in", at->pc);
    print_function("called from", at->r31);
    uint32_t frame = at->r30;
    for (int i = 0; i < MOST_FRAMES && frame && frame % 8 == 0; i++) {
        const uint32_t *saved = (const uint32_t *)frame; /* caller's frame, return address */
        print_function("called from", saved[1]);
        if (saved[0] <= frame)
            break;
        frame = saved[0];
    }
    _exit(128 + number);
}

void report_crashes(void)
{
    static char stack[STACK];
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    /* SA_RESETHAND: a crash while reporting ends the process */
    struct sigaction action = {.sa_sigaction = report,
                               .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_ONSTACK | SA_NODEFER};
    sigaltstack(&other, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}
