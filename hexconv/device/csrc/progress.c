/* The progress of the run, in a file that outlives a crash or a kill.
 *
 * The file is mapped, so that keeping it up to date costs no system call; whoever started this
 * process reads it afterwards and can say which node was being executed.
 */
#include "progress.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct progress {
    uint32_t stage, node;
    uint64_t executed;  /* runs begun, and in the low half the clock reads of this one: one store */
};

static struct progress nowhere;
static uint64_t runs;
static volatile struct progress *progress = &nowhere;

void progress_open(const char *path)
{
    int file = open(path, O_RDWR);
    void *shared = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || shared == MAP_FAILED) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    close(file);
    progress = shared;
}

void progress_stage(unsigned stage, unsigned node)
{
    runs += stage == STAGE_EXECUTE;
    progress->stage = stage;
    progress->node = node;
    progress_nodes(0);
}

void progress_nodes(unsigned clock_reads)
{
    progress->executed = runs << 32 | clock_reads;
}
