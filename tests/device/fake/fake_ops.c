/* The stand-in's ops: two that compute, and some that misbehave, each in its own way. */
#include "fake.h"

int escape(void);
void linger(void);
extern void (*const packet_functions[])(uint8_t *state);

static int fine(struct node *node)
{
    (void)node;
    return 0;
}

/* Fill output `port` with `size` bytes of the given sizes. */
static int give(struct node *node, uint32_t port, const struct tensor *shape, const void *data,
                uint32_t size)
{
    struct tensor *output = &node->outputs[port];
    if (size > (uint32_t)output->capacity) {
        log_line("output %u is too small", port);
        return -1;
    }
    output->batches = shape->batches;
    output->height = shape->height;
    output->width = shape->width;
    output->depth = shape->depth;
    memcpy(output->data, data, size);
    output->size = size;
    return 0;
}

static const struct tensor scalar = {1, 1, 1, 1, 0, 0, 0, 0};

static int input(struct node *node)
{
    for (uint32_t i = 0; i < node->output_count; i++)
        if (i >= graph_input_count
            || give(node, i, &graph_inputs[i], graph_inputs[i].data, graph_inputs[i].size) != 0)
            return -1;
    return 0;
}

static int output(struct node *node)
{
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct tensor *from = input_of(node, i);
        struct tensor *to = &graph_outputs[i];
        if (i >= graph_output_count || from->size > (uint32_t)to->capacity)
            return -1;
        *to = (struct tensor){from->batches, from->height, from->width, from->depth,
                              to->data, to->capacity, from->size, 0};
        memcpy(to->data, from->data, from->size);
    }
    return 0;
}

/* Four input tensors for each three outputs; codes are the value times 10, plus 100. */
static int quantize_input(struct node *node)
{
    static uint8_t codes[1 << 16];
    static const float low = -10.0f, high = 15.5f;
    for (uint32_t i = 0; i * 3 < node->output_count; i++) {
        const struct tensor *from = &graph_inputs[4 * i];
        const float *values = (const float *)from->data;
        uint32_t count = from->size / sizeof *values;
        if (*(const int *)graph_inputs[4 * i + 3].data != 1 || count > sizeof codes)
            return -1;
        for (uint32_t k = 0; k < count; k++)
            codes[k] = (uint8_t)roundf(values[k] * 10.0f + 100.0f);
        if (give(node, 3 * i, from, codes, count) != 0
            || give(node, 3 * i + 1, &scalar, &low, sizeof low) != 0
            || give(node, 3 * i + 2, &scalar, &high, sizeof high) != 0)
            return -1;
    }
    return 0;
}

static int dequantize_output(struct node *node)
{
    for (uint32_t i = 0; 3 * i < node->input_count; i++) {
        const struct tensor *from = input_of(node, 3 * i);
        struct tensor *to = &graph_outputs[4 * i];
        float *values = (float *)to->data;
        if (*(const int *)graph_outputs[4 * i + 3].data != 1
            || from->size * sizeof *values > (uint32_t)to->capacity)
            return -1;
        for (uint32_t k = 0; k < from->size; k++)
            values[k] = (from->data[k] - 100) / 10.0f;
        *to = (struct tensor){from->batches, from->height, from->width, from->depth, to->data,
                              to->capacity, from->size * sizeof *values, 0};
        for (uint32_t k = 1; k < 4; k++) {
            struct tensor *rest = &graph_outputs[4 * i + k];
            *rest = (struct tensor){1, 1, 1, 1, rest->data, rest->capacity, 4, 0};
            memcpy(rest->data, k < 3 ? input_of(node, 3 * i + k)->data : rest->data, 4);
        }
    }
    return 0;
}

struct work {
    const uint8_t *from;
    uint8_t *to;
    uint32_t size;
    volatile uint32_t done;
};

static void invert_all(void *argument)
{
    struct work *work = argument;
    for (uint32_t i = 0; i < work->size; i++)
        work->to[i] = 200 - work->from[i];
    work->done = 1;
    qurt_futex_wake((void *)&work->done, 1);
}

/* 200 - code (the value times -1), by a thread of its own. */
static int negate(struct node *node)
{
    const struct tensor *from = input_of(node, 0);
    struct work work = {from->data, node->outputs[0].data, from->size, 0};
    uint32_t thread;
    if (from->size > (uint32_t)node->outputs[0].capacity)
        return -1;
    if (qurt_thread_create(&thread, 0, invert_all, &work) != 0)
        return -1;
    while (!work.done)
        qurt_futex_wait((void *)&work.done, 0);
    qurt_thread_join(thread, 0);
    return give(node, 0, from, work.to, from->size)
           || give(node, 1, &scalar, input_of(node, 1)->data, 4)
           || give(node, 2, &scalar, input_of(node, 2)->data, 4);
}

static int reject(struct node *node)
{
    (void)node;
    log_line("fake/op_reject.c:%d:op only supported on %s", 12, "Sundays");
    return -1;
}

static int fail(struct node *node)
{
    log_line("fake/op_fail.c:34:no %.1f today", 1.5);
    log_line("fake/execute.c:56:execute() failed on node id=%x err=%d", node->id, -1);
    return -1;
}

static int crash(struct node *node)
{
    (void)node;
    *(volatile int *)16 = 1;
    return 0;
}

static int hang(struct node *node)
{
    volatile uint32_t never = 0;
    (void)node;
    while (!never)
        qurt_futex_wait((void *)&never, 0);
    return 0;
}

static int spin(struct node *node)
{
    (void)node;
    for (volatile int i = 0;; i++)
        ;
}

static int eat(struct node *node)
{
    (void)node;
    for (;;) {
        uint8_t *block = __wrap_malloc(16 << 20);
        if (!block) {
            log_line("out of memory");
            return -1;
        }
        block[0] = 1;
    }
}

static int flood(struct node *node)
{
    for (;;)
        printf("node %x floods the log, line after line after line\n", node->id);
}

/* The code is what was reached. */
static int try_escape(struct node *node)
{
    uint8_t code = escape();
    return give(node, 0, &scalar, &code, 1);
}

static int stay(struct node *node)
{
    uint8_t code = 0;
    linger();
    return give(node, 0, &scalar, &code, 1);
}

enum { COUNTED_AT = 40 };

/* Call a function of packets.S, by its number, on a state; the state afterwards, with what was
 * counted meanwhile at COUNTED_AT. */
static int run_packet(struct node *node)
{
    const struct tensor *from = input_of(node, 0), *number = input_of(node, 1);
    uint8_t *state = __wrap_malloc(from->size);
    memcpy(state, from->data, from->size);
    uint64_t start = qurt_get_core_pcycles();
    packet_functions[*(const uint32_t *)number->data](state);
    *(uint32_t *)(state + COUNTED_AT) = qurt_get_core_pcycles() - start;
    int code = give(node, 0, from, state, from->size);
    __wrap_free(state);
    return code;
}

/* A MiB of the heap and a page of VTCM, given back at once. */
static int borrow(struct node *node)
{
    uint8_t code = 0;
    void *block = __wrap_malloc(1 << 20), *fast = HAP_request_VTCM(65536, 1);
    if (!block || !fast)
        return -1;
    __wrap_free(block);
    HAP_release_VTCM(fast);
    return give(node, 0, &scalar, &code, 1);
}

const struct op ops[] = {
    {"INPUT", 0, fine, input},
    {"OUTPUT", ~0u, fine, output},
    {"Nop", ~0u, fine, fine},
    {"Const", 0, fine, fine},
    {"QuantizeINPUT_f_to_8", 0, fine, quantize_input},
    {"DequantizeOUTPUT_8tof", ~0u, fine, dequantize_output},
    {"QuantizedNeg_8", 3, fine, negate},
    {"Reject", ~0u, reject, fine},
    {"Fail", ~0u, fine, fail},
    {"Crash", ~0u, fine, crash},
    {"CrashInPrepare", ~0u, crash, fine},
    {"Hang", ~0u, fine, hang},
    {"Spin", ~0u, fine, spin},
    {"Eat", ~0u, fine, eat},
    {"Flood", ~0u, fine, flood},
    {"Escape", ~0u, fine, try_escape},
    {"Stay", ~0u, fine, stay},
    {"RunPacket", 2, fine, run_packet},
    {"Borrow", ~0u, fine, borrow},
};
const uint32_t op_count = sizeof ops / sizeof ops[0];
