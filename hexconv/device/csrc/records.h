/* Reading the job and writing the records: files of records, each a tag, a length, a payload.
 *
 * All numbers are u32, little-endian; a payload is padded with zeros to a multiple of 4. The same
 * format is written by hexconv/device/job.py and read by hexconv/device/records.py. */
#ifndef HEXCONV_RECORDS_H
#define HEXCONV_RECORDS_H

#include <stdint.h>

#define TAG(a, b, c, d) ((uint32_t)(a) | (b) << 8 | (c) << 16 | (uint32_t)(d) << 24)

/* One record of the job. `next` moves through the payload. */
struct record {
    uint32_t tag, size, next;
    uint8_t *payload;
};

void job_open(const char *path);

/* Read the next record into `record`; 0 at the end of the file. */
int job_next(struct record *record);

/* Take one number, `size` bytes, or a zero-terminated string from the record. A record that is
 * too short ends the process with a message. */
uint32_t take_u32(struct record *record);
void *take_bytes(struct record *record, uint32_t size);
const char *take_string(struct record *record);

/* An aligned block that the library may read whole vectors from and write them to. */
void *new_block(uint32_t size);

void record_open(const char *path);
void record_begin(uint32_t tag, uint32_t size);
void record_u32(uint32_t value);
void record_bytes(const void *from, uint32_t size);
void record_end(void);

/* A record of numbers and then a text. */
void record_text(uint32_t tag, const uint32_t *numbers, uint32_t count, const char *text);

#endif
