"""Print what would be run on a phone; with --validate, feed ONNX Runtime as MACE's script does."""

import argparse
import json
import os

from utils import config_parser


def run_model(flags, args, name, conf):
    path = flags.output + "/" + name + "/model/" + name + ".pb"
    if not os.path.exists(path):
        raise Exception("No models exist in " + path)
    for graph in conf["subgraphs"].values():
        said = {
            "input_shape": graph["input_shapes"],
            "input_data_format": [form.name for form in graph["input_data_formats"]],
            "args": args,
            "model_file_path": conf["model_file_path"],
            "model_sha256_checksum": conf["model_sha256_checksum"],
        }
        if flags.validate:
            said["validated"] = validate(conf["model_file_path"], graph)
        print(json.dumps(said))


def validate(model_file, graph):
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(model_file)
    feeds = {}
    for name, shape in zip(graph["input_tensors"], graph["input_shapes"]):  # noqa: B905
        feeds[name] = np.ones(shape, np.float32)
    return [list(value.shape) for value in session.run(graph["output_tensors"], feeds)]


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", default="")
    parser.add_argument("--output", default="build")
    parser.add_argument("--validate", action="store_true")
    return parser.parse_known_args()


if __name__ == "__main__":
    flags, args = parse_args()
    for name, conf in config_parser.parse(flags.config)["models"].items():
        run_model(flags, args, name, config_parser.normalize_model_config(conf))
