"""The older script: convert, and print what would be run."""

import argparse
import json
import sys

import numpy as np
import sh
import yaml

sys.path.insert(1, "tools/python")
import convert
from utils import config_parser


def format_model_config(flags):
    with open(flags.config) as file:
        configs = yaml.load(file)
    for entry in configs["models"].values():
        entry["subgraphs"] = {"default_graph": entry["subgraphs"][0]}
        for graph in entry["subgraphs"].values():
            for side in ("input", "output"):
                key = side + "_data_formats"
                graph[key] = config_parser.to_list(graph.get(key, "NHWC"))
                for key in (side + "_tensors", side + "_shapes"):
                    graph[key] = config_parser.to_list(graph[key])
    return configs


def convert_func(flags):
    convert.convert(config_parser.parse(flags.config), "build")
    sh.mkdir("-p", np.int(1))


def run_func(flags):
    print(sh.adb("devices").stdout.decode("utf-8"), file=sys.stderr)
    print(json.dumps(format_model_config(flags)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["convert", "run"])
    parser.add_argument("--config")
    parser.add_argument("--validate", action="store_true")
    flags = parser.parse_args()
    {"convert": convert_func, "run": run_func}[flags.verb](flags)
