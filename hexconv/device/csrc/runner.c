/* Doing a job: build a graph in the library, prepare it, execute it.
 *
 * One function a kind of record. What the library returns goes into the record file; the first
 * call that fails ends the job, with the library's own log as the reason.
 */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "heap.h"
#include "nnlib.h"
#include "progress.h"
#include "records.h"

enum { LIST_BEFORE = 1, LIST_AFTER = 2, MAX_OPS = 1 << 16, NAME_SIZE = 256,
       FIRST_TEXT = 1 << 20, LAST_TEXT = 1 << 28, FIRST_ROWS = 1 << 12, LAST_ROWS = 1 << 22 };

/* A list of tensors that grows as the job adds to it. */
struct tensors {
    struct nn_tensor *items;
    uint32_t count;
};

static int graph;
static struct tensors inputs, outputs;
static uint8_t **initial; /* what each output holds when a run begins */
static uint32_t *initial_size;
static uint32_t runs;

static void *grown(void *items, uint32_t count, uint32_t size)
{
    void *more = realloc(items, (count + 1) * size);
    if (!more) {
        fprintf(stderr, "out of memory in the emulated process\n");
        exit(EXIT_FAILURE);
    }
    return more;
}

static int failed(unsigned stage, unsigned node, int code)
{
    char *log = new_block(FIRST_TEXT);
    log[0] = 0;
    if (nn.getlog(graph, log, FIRST_TEXT) != 0)
        log[0] = 0;
    log[FIRST_TEXT - 1] = 0;
    record_text(TAG('F', 'A', 'I', 'L'), (uint32_t[]){stage, node, code, runs}, 4, log);
    free(log);
    return 1;
}

static int list_ops(void)
{
    int version = 0;
    nn.version(&version);
    for (uint32_t op = 0; op < MAX_OPS; op++) {
        char name[NAME_SIZE] = "";
        if (nn.op_id_to_name(op, name, sizeof name) != 0)
            break;
        name[NAME_SIZE - 1] = 0;
        record_text(TAG('O', 'P', ' ', ' '), (uint32_t[]){version, op}, 2, name);
    }
    return 0;
}

static int set_option(struct record *record)
{
    int value = take_u32(record);
    const char *name = take_string(record);
    progress_stage(STAGE_OPTION, 0);
    int code = nn.set_graph_option(graph, name, value);
    return code ? failed(STAGE_OPTION, 0, code) : 0;
}

static int append_const(struct record *record)
{
    uint32_t node = take_u32(record), batches = take_u32(record), height = take_u32(record),
             width = take_u32(record), depth = take_u32(record), size = take_u32(record);
    const void *data = take_bytes(record, size);
    progress_stage(STAGE_CONST, node);
    void *aligned = new_block(size);
    memcpy(aligned, data, size);
    int code = nn.append_const_node(graph, node, batches, height, width, depth,
                                    size ? aligned : NULL, size);
    free(aligned);
    return code ? failed(STAGE_CONST, node, code) : 0;
}

/* Append the node of the record; `node` becomes its id. */
static int append(struct record *record, uint32_t *node)
{
    *node = take_u32(record);
    uint32_t padding = take_u32(record),
             input_count = take_u32(record), output_count = take_u32(record), op;
    if (input_count > record->size || output_count > record->size)
        input_count = record->size; /* rejected by take_bytes */
    const struct nn_input *ins = take_bytes(record, input_count * sizeof *ins);
    const struct nn_output *outs = take_bytes(record, output_count * sizeof *outs);
    const char *name = take_string(record);
    progress_stage(STAGE_NODE, *node);
    if (nn.op_name_to_id(name, &op) != 0)
        return -1;
    return nn.append_node(graph, *node, op, padding, input_count ? ins : NULL, input_count,
                          output_count ? outs : NULL, output_count);
}

static int append_node(struct record *record)
{
    uint32_t node;
    int code = append(record, &node);
    return code ? failed(STAGE_NODE, node, code) : 0;
}

/* Like append_node, to find out whether the library takes such a node. */
static int try_node(struct record *record)
{
    uint32_t node;
    int code = append(record, &node);
    record_text(TAG('T', 'R', 'Y', ' '), (uint32_t[]){node, code}, 2, "");
    return 0;
}

static void list_nodes(uint32_t when)
{
    for (uint32_t size = FIRST_TEXT; size <= LAST_TEXT; size *= 4) {
        char *text = new_block(size);
        text[0] = 0;
        nn.snpprint(graph, text, size);
        text[size - 1] = 0;
        int whole = strlen(text) + NAME_SIZE < size || size == LAST_TEXT;
        if (whole)
            record_text(TAG('L', 'I', 'S', 'T'), &when, 1, text);
        free(text);
        if (whole)
            return;
    }
}

/* What the stage that has just ended needed of the heap: the most, and what it holds on to. */
static void record_heap(uint32_t stage)
{
    record_begin(TAG('H', 'E', 'A', 'P'), 4 * sizeof stage);
    record_u32(stage);
    record_u32(heap_most());
    record_u32(heap_held());
    record_u32(vtcm_most());
    record_end();
}

static int prepare(struct record *record)
{
    uint32_t lists = take_u32(record);
    if (lists & LIST_BEFORE)
        list_nodes(LIST_BEFORE);
    progress_stage(STAGE_PREPARE, 0);
    heap_most();
    int code = nn.prepare(graph);
    if (code)
        return failed(STAGE_PREPARE, 0, code);
    record_heap(STAGE_PREPARE);
    if (lists & LIST_AFTER)
        list_nodes(LIST_AFTER);
    return 0;
}

static int add_input(struct record *record)
{
    struct nn_tensor tensor = {0};
    tensor.batches = take_u32(record);
    tensor.height = take_u32(record);
    tensor.width = take_u32(record);
    tensor.depth = take_u32(record);
    tensor.size = take_u32(record);
    tensor.capacity = tensor.size;
    const void *data = take_bytes(record, tensor.size);
    tensor.data = new_block(tensor.size);
    memcpy(tensor.data, data, tensor.size);
    inputs.items = grown(inputs.items, inputs.count, sizeof tensor);
    inputs.items[inputs.count++] = tensor;
    return 0;
}

static int add_output(struct record *record)
{
    struct nn_tensor tensor = {0};
    tensor.capacity = take_u32(record);
    uint32_t size = take_u32(record);
    const void *data = take_bytes(record, size);
    if (size > (uint32_t)tensor.capacity) {
        fprintf(stderr, "an output of the job file contains more than it can\n");
        exit(EXIT_FAILURE);
    }
    tensor.data = new_block(tensor.capacity);
    outputs.items = grown(outputs.items, outputs.count, sizeof tensor);
    initial = grown(initial, outputs.count, sizeof *initial);
    initial_size = grown(initial_size, outputs.count, sizeof *initial_size);
    initial[outputs.count] = new_block(size);
    memcpy(initial[outputs.count], data, size);
    initial_size[outputs.count] = size;
    outputs.items[outputs.count++] = tensor;
    return 0;
}

static void reset_outputs(void)
{
    for (uint32_t i = 0; i < outputs.count; i++) {
        struct nn_tensor *tensor = &outputs.items[i];
        memset(tensor->data, 0, tensor->capacity);
        memcpy(tensor->data, initial[i], initial_size[i]);
        tensor->batches = tensor->height = tensor->width = tensor->depth = tensor->size = 0;
    }
}

static void record_outputs(void)
{
    uint32_t size = 0;
    for (uint32_t i = 0; i < outputs.count; i++) {
        struct nn_tensor *tensor = &outputs.items[i];
        if (tensor->size > (uint32_t)tensor->capacity)
            tensor->size = tensor->capacity;
        size += 5 * sizeof size + ((tensor->size + 3) & ~3u);
    }
    record_begin(TAG('R', 'U', 'N', ' '), size);
    for (uint32_t i = 0; i < outputs.count; i++) {
        const struct nn_tensor *tensor = &outputs.items[i];
        record_u32(tensor->batches);
        record_u32(tensor->height);
        record_u32(tensor->width);
        record_u32(tensor->depth);
        record_u32(tensor->size);
        record_bytes(tensor->data, tensor->size);
    }
    record_end();
}

/* Per node: id, op id, executions, and the 64-bit count in two halves. */
static void record_counts(void)
{
    struct nn_perf *rows = NULL;
    uint32_t count = 0;
    int code = -1;
    for (uint32_t room = FIRST_ROWS; code != 0 && room <= LAST_ROWS; room *= 4) {
        free(rows);
        rows = new_block(room * sizeof *rows);
        code = nn.get_perfinfo(graph, rows, room, &count);
    }
    if (code != 0)
        count = 0;
    record_begin(TAG('P', 'E', 'R', 'F'), count * 5 * sizeof count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t op = 0;
        nn.get_nodetype(graph, rows[i].node, &op);
        record_u32(rows[i].node);
        record_u32(op);
        record_u32(rows[i].executions);
        record_u32(rows[i].low);
        record_u32(rows[i].high);
    }
    record_end();
    free(rows);
}

static int run(struct record *record)
{
    uint32_t counter = take_u32(record);
    reset_outputs();
    nn.reset_perfinfo(graph, 0);
    progress_stage(STAGE_EXECUTE, 0);
    counters_select(counter);
    int code = nn.execute_new(graph, inputs.items, inputs.count, outputs.items, outputs.count);
    counters_select(COUNTER_NONE);
    if (code)
        return failed(STAGE_EXECUTE, 0, code);
    record_heap(STAGE_EXECUTE);
    record_outputs();
    if (counter != COUNTER_NONE)
        record_counts();
    for (uint32_t i = 0; i < inputs.count; i++)
        free(inputs.items[i].data);
    inputs.count = 0;
    runs++;
    return 0;
}

static int do_record(struct record *record)
{
    switch (record->tag) {
    case TAG('O', 'P', 'S', ' '):
        return list_ops();
    case TAG('O', 'P', 'T', 'N'):
        return set_option(record);
    case TAG('C', 'N', 'S', 'T'):
        return append_const(record);
    case TAG('N', 'O', 'D', 'E'):
        return append_node(record);
    case TAG('T', 'R', 'Y', ' '):
        return try_node(record);
    case TAG('P', 'R', 'E', 'P'):
        return prepare(record);
    case TAG('I', 'N', 'P', 'T'):
        return add_input(record);
    case TAG('O', 'U', 'T', 'P'):
        return add_output(record);
    case TAG('R', 'U', 'N', ' '):
        return run(record);
    }
    fprintf(stderr, "the job file contains an unknown record\n");
    exit(EXIT_FAILURE);
}

int run_job(void)
{
    struct record record = {0};
    progress_stage(STAGE_CONFIG, 0);
    int code = nn.config();
    if (code)
        return failed(STAGE_CONFIG, 0, code);
    progress_stage(STAGE_INIT, 0);
    code = nn.init(&graph);
    if (code)
        return failed(STAGE_INIT, 0, code);
    while (job_next(&record))
        if (do_record(&record) != 0)
            return 1;
    progress_stage(STAGE_DONE, 0);
    record_text(TAG('D', 'O', 'N', 'E'), NULL, 0, "");
    return 0;
}
