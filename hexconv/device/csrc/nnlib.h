/* The interface of the Hexagon NN library: MACE's hexagon_nn.h, as far as it is used here. */
#ifndef HEXCONV_NNLIB_H
#define HEXCONV_NNLIB_H

#include <stdint.h>

struct nn_input {
    uint32_t node, port;
};

struct nn_output {
    uint32_t rank, max_sizes[8], element_size;
    int32_t zero_offset;
    float step_size;
};

struct nn_tensor {
    uint32_t batches, height, width, depth;
    uint8_t *data;
    int32_t capacity; /* bytes */
    uint32_t size;    /* bytes that hold data */
    uint32_t unused;
};

struct nn_perf {
    uint32_t node, executions, low, high;
};

/* Every function returns 0 when it has done its work. */
struct nn_library {
    int (*config)(void);
    int (*version)(int *version);
    int (*init)(int *graph);
    int (*set_graph_option)(int graph, const char *name, int value);
    int (*append_const_node)(int graph, uint32_t node, uint32_t batches, uint32_t height,
                             uint32_t width, uint32_t depth, const void *data, uint32_t size);
    int (*append_node)(int graph, uint32_t node, uint32_t op, uint32_t padding,
                       const struct nn_input *inputs, uint32_t input_count,
                       const struct nn_output *outputs, uint32_t output_count);
    int (*prepare)(int graph);
    int (*execute_new)(int graph, const struct nn_tensor *inputs, uint32_t input_count,
                       struct nn_tensor *outputs, uint32_t output_count);
    int (*getlog)(int graph, char *text, uint32_t size);
    int (*snpprint)(int graph, char *text, uint32_t size);
    int (*op_name_to_id)(const char *name, uint32_t *op);
    int (*op_id_to_name)(uint32_t op, char *name, int size);
    int (*get_nodetype)(int graph, int node, uint32_t *op);
    int (*get_perfinfo)(int graph, struct nn_perf *rows, uint32_t capacity, uint32_t *count);
    int (*reset_perfinfo)(int graph, uint32_t event);
};

extern struct nn_library nn;

/* Load the library and look its functions up; ends the process with a message if one is missing. */
void nn_load(const char *path);

#endif
