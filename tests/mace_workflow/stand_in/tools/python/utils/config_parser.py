"""Configurations: YAML text to dicts of enums and numbers."""

import copy
from enum import Enum

import yaml
from py_proto import mace_pb2

from utils import util


class DataFormat(Enum):
    NONE = 0
    NHWC = 1
    NCHW = 2


class DeviceType(Enum):
    CPU = 0
    HEXAGON = 3


class Platform(Enum):
    TENSORFLOW = 0
    ONNX = 2


DEVICES = {"cpu": DeviceType.CPU, "dsp": DeviceType.HEXAGON, "hexagon": DeviceType.HEXAGON}
TYPES = {"float32": mace_pb2.DT_FLOAT, "int32": mace_pb2.DT_INT32}


def parse(path):
    with open(path) as file:
        return yaml.load(file.read())


def to_list(value):
    return value if isinstance(value, list) else [value]


def normalize_graph_config(conf, model_output, org_model_dir):
    conf = copy.deepcopy(conf)
    if "platform" in conf:
        conf["platform"] = Platform[conf["platform"].upper()]
    if "runtime" in conf:
        conf["runtime"] = DEVICES[conf["runtime"]]
    if "model_file_path" in conf and org_model_dir is not None:
        conf["model_file_path"] = util.copied(conf["model_file_path"], org_model_dir)
    if "input_tensors" not in conf:
        return conf
    for side in ("input", "output"):
        names = conf[side + "_tensors"] = to_list(conf[side + "_tensors"])
        shapes = to_list(conf[side + "_shapes"])
        conf[side + "_shapes"] = [[int(size) for size in text.split(",")] for text in shapes]
        formats = to_list(conf.get(side + "_data_formats", "NHWC"))
        formats = formats * len(names) if len(formats) == 1 else formats
        conf[side + "_data_formats"] = [DataFormat[word] for word in formats]
        types = to_list(conf.get(side + "_data_types", "float32"))
        types = types * len(names) if len(types) == 1 else types
        conf[side + "_data_types"] = [TYPES[word] for word in types]
    ranges = to_list(conf.get("input_ranges", "-1.0,1.0"))
    ranges = ranges * len(conf["input_tensors"]) if len(ranges) == 1 else ranges
    conf["input_ranges"] = [[float(bound) for bound in text.split(",")] for text in ranges]
    return conf


def normalize_model_config(conf, model_output=None, org_model_dir=None):
    conf = normalize_graph_config(conf, model_output, org_model_dir)
    graphs = conf["subgraphs"]
    if isinstance(graphs, list):
        graphs = {"default_graph": graphs[0]}
    base = {key: value for key, value in conf.items() if key != "subgraphs"}
    conf["subgraphs"] = {
        name: dict(base, **normalize_graph_config(graph, model_output, org_model_dir))
        for name, graph in graphs.items()
    }
    return conf
