/* Doing a job: build a graph in the library, prepare it, execute it. */
#ifndef HEXCONV_RUNNER_H
#define HEXCONV_RUNNER_H

/* Do every record of the job; 0, or 1 when the library rejected something. */
int run_job(void);

#endif
