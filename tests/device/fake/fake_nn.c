/* The stand-in's outside: the functions of hexagon_nn.h that the runner calls. */
#include "fake.h"

enum { LOG_SIZE = 4096, CONST = 3, ANY = -1, VERSION = 0x010203 };

static struct node *first, **last = &first;
static char log_text[LOG_SIZE];
const struct tensor *graph_inputs;
uint32_t graph_input_count, graph_output_count;
struct tensor *graph_outputs;

void log_line(const char *format, ...)
{
    uint32_t used = strlen(log_text);
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    vsnprintf(log_text + used, LOG_SIZE - used - 1, format, arguments);
    __builtin_va_end(arguments);
    used = strlen(log_text);
    snprintf(log_text + used, LOG_SIZE - used, "\n");
    HAP_debug_v2(2, "fake/log.c", 1, "%s", "a line was logged");
}

static struct node *find(uint32_t id)
{
    for (struct node *node = first; node; node = node->next)
        if (node->id == id)
            return node;
    return 0;
}

struct tensor *input_of(struct node *node, uint32_t index)
{
    return &find(node->input_nodes[index])->outputs[node->input_ports[index]];
}

static struct node *add(uint32_t id, uint32_t op)
{
    struct node *node = __wrap_calloc(1, sizeof *node);
    node->id = id;
    node->op = op;
    *last = node;
    last = &node->next;
    return node;
}

int hexagon_nn_config(void)
{
    int failed = self_check();
    if (failed)
        log_line("self-check %d failed", failed);
    return failed;
}

int hexagon_nn_version(int *version)
{
    *version = VERSION;
    return 0;
}

int hexagon_nn_init(int *graph)
{
    *graph = 7;
    return 0;
}

int hexagon_nn_set_graph_option(int graph, const char *name, int value)
{
    log_line("graph %d knows no option %s (%d)", graph, name, value);
    return -1;
}

int hexagon_nn_append_const_node(int graph, uint32_t id, uint32_t batches, uint32_t height,
                                 uint32_t width, uint32_t depth, const uint8_t *data, uint32_t size)
{
    struct node *node = add(id, CONST);
    (void)graph;
    node->output_count = 1;
    node->outputs[0] = (struct tensor){batches, height, width, depth, __wrap_malloc(size), size,
                                       size, 0};
    memcpy(node->outputs[0].data, data, size);
    return 0;
}

struct declared {
    uint32_t rank, sizes[8], element_size;
    int32_t zero;
    float step;
};

int hexagon_nn_append_node(int graph, uint32_t id, uint32_t op, uint32_t padding,
                           const uint32_t *inputs, uint32_t input_count,
                           const struct declared *outputs, uint32_t output_count)
{
    (void)graph;
    (void)padding;
    if (input_count > MAX_PORTS || output_count > MAX_PORTS
        || (ops[op].inputs != ~0u && ops[op].inputs != input_count)) {
        log_line("node %x (%s): bad input count %u", id, ops[op].name, input_count);
        return ANY;
    }
    struct node *node = add(id, op);
    node->input_count = input_count;
    node->output_count = output_count;
    for (uint32_t i = 0; i < input_count; i++) {
        node->input_nodes[i] = inputs[2 * i];
        node->input_ports[i] = inputs[2 * i + 1];
    }
    for (uint32_t i = 0; i < output_count; i++) {
        uint32_t size = outputs[i].element_size;
        for (uint32_t k = 0; k < outputs[i].rank; k++)
            size *= outputs[i].sizes[k];
        node->outputs[i].capacity = size;
        node->outputs[i].data = __wrap_malloc(size);
    }
    return 0;
}

int hexagon_nn_prepare(int graph)
{
    (void)graph;
    for (struct node *node = first; node; node = node->next) {
        for (uint32_t i = 0; i < node->input_count; i++)
            if (!find(node->input_nodes[i])) {
                log_line("node %x reads %x, which does not exist", node->id, node->input_nodes[i]);
                return ANY;
            }
        if (ops[node->op].check(node) != 0)
            return ANY;
    }
    return 0;
}

int hexagon_nn_execute_new(int graph, const struct tensor *inputs, uint32_t input_count,
                           struct tensor *outputs, uint32_t output_count)
{
    (void)graph;
    graph_inputs = inputs;
    graph_input_count = input_count;
    graph_outputs = outputs;
    graph_output_count = output_count;
    for (struct node *node = first; node; node = node->next) {
        if (node->op == CONST)
            continue;
        uint64_t start = qurt_get_core_pcycles();
        int code = ops[node->op].execute(node);
        node->cost += qurt_get_core_pcycles() - start;
        node->executions++;
        if (code != 0)
            return code;
    }
    return 0;
}

int hexagon_nn_getlog(int graph, char *text, uint32_t size)
{
    (void)graph;
    strncpy(text, log_text, size);
    return 0;
}

int hexagon_nn_snpprint(int graph, char *text, uint32_t size)
{
    uint32_t used = snprintf(text, size, "nn @ %p: id=0x%x debug_level=0\n", (void *)&first, graph);
    for (struct node *node = first; node && used < size; node = node->next)
        used += snprintf(text + used, size - used,
                         "node @ %p: id=0x%x type=0x%x(%s) n_inputs=%u n_outputs=%u padding=0(NA)\n",
                         (void *)node, node->id, node->op, ops[node->op].name, node->input_count,
                         node->output_count);
    return 0;
}

int hexagon_nn_op_name_to_id(const char *name, uint32_t *op)
{
    for (*op = 0; *op < op_count; ++*op)
        if (strcmp(ops[*op].name, name) == 0)
            return 0;
    return ANY;
}

int hexagon_nn_op_id_to_name(uint32_t op, char *name, int size)
{
    if (op >= op_count)
        return ANY;
    strncpy(name, ops[op].name, size);
    return 0;
}

int hexagon_nn_get_nodetype(int graph, int id, uint32_t *op)
{
    (void)graph;
    *op = find(id)->op;
    return 0;
}

struct perf {
    uint32_t node, executions, low, high;
};

int hexagon_nn_get_perfinfo(int graph, struct perf *rows, uint32_t capacity, uint32_t *count)
{
    (void)graph;
    *count = 0;
    for (struct node *node = first; node; node = node->next) {
        if (node->op == CONST)
            continue;
        if (*count == capacity)
            return ANY;
        rows[(*count)++] = (struct perf){node->id, node->executions, (uint32_t)node->cost,
                                         (uint32_t)(node->cost >> 32)};
    }
    return 0;
}

int hexagon_nn_reset_perfinfo(int graph, uint32_t event)
{
    (void)graph;
    (void)event;
    for (struct node *node = first; node; node = node->next)
        node->executions = node->cost = 0;
    return 0;
}
