/* Runs the Hexagon NN library under qemu-hexagon: runner LIBRARY JOB RECORDS PROGRESS.
 *
 * Exit codes: 0 done; 1 it could not be done, with the reason on stderr or, when it was the
 * library that failed, in the record file; 128 + n crashed with signal n.
 */
#include <stdio.h>
#include <unistd.h>

#include "counters.h"
#include "crash.h"
#include "nnlib.h"
#include "progress.h"
#include "records.h"
#include "runner.h"

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: runner LIBRARY JOB RECORDS PROGRESS\n");
        return 1;
    }
    report_crashes();
    counters_thread_started(0);
    progress_open(argv[4]);
    record_open(argv[3]);
    job_open(argv[2]);
    nn_load(argv[1]);
    int code = run_job();
    fflush(NULL);
    _exit(code); /* workers may still wait inside the library: no exit handlers, no joining */
}
