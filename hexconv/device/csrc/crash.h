/* Saying where the library crashed. */
#ifndef HEXCONV_CRASH_H
#define HEXCONV_CRASH_H

void report_crashes(void);

#endif
