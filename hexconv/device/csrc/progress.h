/* The progress of the run, in a file that outlives a crash or a kill. */
#ifndef HEXCONV_PROGRESS_H
#define HEXCONV_PROGRESS_H

/* The stages, as hexconv/device/records.py names them. */
enum { STAGE_START = 0, STAGE_CONFIG, STAGE_INIT, STAGE_OPTION, STAGE_CONST, STAGE_NODE,
       STAGE_PREPARE, STAGE_EXECUTE, STAGE_DONE };

/* Share the counters below with the file at `path`. */
void progress_open(const char *path);

/* What is being done now, and to which node (0: none); executions are counted. */
void progress_stage(unsigned stage, unsigned node);

/* How often the library has read its clock in this execution: before and after each node. */
void progress_nodes(unsigned clock_reads);

#endif
