/* A stand-in for the Hexagon NN library, with just enough in it to test the runner. */
#ifndef FAKE_H
#define FAKE_H

#include "imports.h"

enum { MAX_PORTS = 8 };

struct tensor {
    uint32_t batches, height, width, depth;
    uint8_t *data;
    int32_t capacity;
    uint32_t size, unused;
};

struct node {
    struct node *next;
    uint32_t id, op, input_count, output_count;
    uint32_t input_nodes[MAX_PORTS], input_ports[MAX_PORTS];
    struct tensor outputs[MAX_PORTS];
    uint32_t executions;
    uint64_t cost;
};

/* An op: its name, and what its nodes do; both functions return 0 if all is well. */
struct op {
    const char *name;
    uint32_t inputs;
    int (*check)(struct node *node);
    int (*execute)(struct node *node);
};

extern const struct op ops[];
extern const uint32_t op_count;

/* The tensors that the graph was given, and is to fill. */
extern const struct tensor *graph_inputs;
extern uint32_t graph_input_count;
extern struct tensor *graph_outputs;
extern uint32_t graph_output_count;

struct tensor *input_of(struct node *node, uint32_t index);
void log_line(const char *format, ...);

/* self_check.c: the number of the first import that misbehaves, 0 if none does. */
int self_check(void);

#endif
