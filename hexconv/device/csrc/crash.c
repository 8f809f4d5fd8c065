/* Saying where the library crashed: the signal, and the exported functions on the way there. */
#include "crash.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <ucontext.h>
#include <unistd.h>

#include "elf_loader.h"

enum { STACK = 1 << 16, MOST_FRAMES = 16, FRAME_POINTER = 30, LINK = 31,
       PROGRAM_COUNTER = 34 /* in the kernel's struct user_regs_struct of Hexagon */ };

static void print_function(const char *label, uint32_t address)
{
    unsigned offset;
    const char *name = elf_function_at(address, &offset);
    if (name)
        fprintf(stderr, "%s %s+0x%x\n", label, name, offset);
}

static void report(int number, siginfo_t *info, void *context)
{
    ucontext_t *at = context;
    const uint32_t *registers = (const uint32_t *)&at->uc_mcontext;
    fprintf(stderr, "signal %d at address %p\n", number, info->si_addr);
    print_function("in", registers[PROGRAM_COUNTER]);
    print_function("called from", registers[LINK]);
    uint32_t frame = registers[FRAME_POINTER];
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
