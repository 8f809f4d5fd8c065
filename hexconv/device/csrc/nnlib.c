/* The Hexagon NN library's functions, found by name. */
#include "nnlib.h"

#include <stdio.h>
#include <stdlib.h>

#include "elf_loader.h"

struct nn_library nn;

static void *find(const char *name)
{
    void *function = elf_symbol(name);
    if (!function) {
        fprintf(stderr, "cannot use the library: it has no function '%s'\n", name);
        exit(EXIT_FAILURE);
    }
    return function;
}

void nn_load(const char *path)
{
    elf_load(path);
    nn = (struct nn_library){
        .config = find("hexagon_nn_config"),
        .version = find("hexagon_nn_version"),
        .init = find("hexagon_nn_init"),
        .set_graph_option = find("hexagon_nn_set_graph_option"),
        .append_const_node = find("hexagon_nn_append_const_node"),
        .append_node = find("hexagon_nn_append_node"),
        .prepare = find("hexagon_nn_prepare"),
        .execute_new = find("hexagon_nn_execute_new"),
        .getlog = find("hexagon_nn_getlog"),
        .snpprint = find("hexagon_nn_snpprint"),
        .op_name_to_id = find("hexagon_nn_op_name_to_id"),
        .op_id_to_name = find("hexagon_nn_op_id_to_name"),
        .get_nodetype = find("hexagon_nn_get_nodetype"),
        .get_perfinfo = find("hexagon_nn_get_perfinfo"),
        .reset_perfinfo = find("hexagon_nn_reset_perfinfo"),
    };
}
