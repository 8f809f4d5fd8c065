/* Reading the job and writing the records. */
#include "records.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTOR = 128, SLACK = 256 };

static FILE *job, *records;
static uint64_t job_left;

static void fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(EXIT_FAILURE);
}

static uint32_t padded(uint32_t size)
{
    return (size + 3) & ~3u;
}

void *new_block(uint32_t size)
{
    uint8_t *block = size < UINT32_MAX - SLACK ? memalign(VECTOR, size + SLACK) : NULL;
    if (!block)
        fail("out of memory in the emulated process");
    return block;
}

void job_open(const char *path)
{
    job = fopen(path, "rb");
    if (!job || fseek(job, 0, SEEK_END) != 0)
        fail("the job file cannot be opened");
    job_left = ftell(job);
    rewind(job);
}

int job_next(struct record *record)
{
    uint32_t head[2];
    free(record->payload);
    *record = (struct record){0};
    if (job_left == 0)
        return 0;
    if (job_left < sizeof head || fread(head, sizeof head, 1, job) != 1)
        fail("the job file is cut short");
    job_left -= sizeof head;
    if (head[1] > job_left || padded(head[1]) > job_left)
        fail("a record of the job file is longer than the file");
    record->tag = head[0];
    record->size = head[1];
    record->payload = new_block(padded(record->size));
    if (padded(record->size) && fread(record->payload, padded(record->size), 1, job) != 1)
        fail("the job file cannot be read");
    job_left -= padded(record->size);
    return 1;
}

void *take_bytes(struct record *record, uint32_t size)
{
    if (size > record->size - record->next)
        fail("a record of the job file is too short");
    void *at = record->payload + record->next;
    record->next += size;
    return at;
}

uint32_t take_u32(struct record *record)
{
    uint32_t value;
    memcpy(&value, take_bytes(record, sizeof value), sizeof value);
    return value;
}

const char *take_string(struct record *record)
{
    uint32_t left = record->size - record->next;
    const char *at = (const char *)record->payload + record->next;
    const char *end = memchr(at, 0, left);
    if (!end)
        fail("a name in the job file has no end");
    record->next += end - at + 1;
    return at;
}

void record_open(const char *path)
{
    records = fopen(path, "wb");
    if (!records)
        fail("the record file cannot be opened");
}

void record_bytes(const void *from, uint32_t size)
{
    static const char zeros[4];
    fwrite(from, 1, size, records);
    fwrite(zeros, 1, padded(size) - size, records);
}

void record_u32(uint32_t value)
{
    fwrite(&value, sizeof value, 1, records);
}

void record_begin(uint32_t tag, uint32_t size)
{
    record_u32(tag);
    record_u32(size);
}

/* After each record the file is whole, so that a crash later leaves what was known. */
void record_end(void)
{
    if (fflush(records) != 0 || ferror(records))
        fail("the record file cannot be written: is the disk full?");
}

void record_text(uint32_t tag, const uint32_t *numbers, uint32_t count, const char *text)
{
    record_begin(tag, count * sizeof *numbers + strlen(text));
    for (uint32_t i = 0; i < count; i++)
        record_u32(numbers[i]);
    record_bytes(text, strlen(text));
    record_end();
}
