"""Convert the models of a YAML."""

import argparse
import os

from py_proto import mace_pb2
from utils import config_parser
from utils.config_parser import normalize_model_config
from utils.convert_util import merge_params


def convert(conf, output, enable_micro=False):
    for name, model_conf in conf["models"].items():
        folder = output + "/" + name + "/model"
        os.makedirs(folder, exist_ok=True)
        model_conf = normalize_model_config(model_conf, folder, output + "/" + name + "/org_model")
        model = mace_pb2.MultiNetDef()
        data = bytearray()
        for net_name, net_conf in model_conf["subgraphs"].items():
            net, params = merge_params(convert_net(net_name, net_conf, enable_micro), 1)
            net.data_offset, net.data_size = len(data), len(params)
            model.net_def.extend([net])
            model.input_tensor.extend(net_conf["input_tensors"])
            model.output_tensor.extend(net_conf["output_tensors"])
            data.extend(params)
        for suffix, content in ((".pb", model.SerializeToString()), (".data", data)):
            with open(folder + "/" + name + suffix, "wb") as file:
                file.write(content)


def convert_net(name, conf, enable_micro):
    print("MACE converts", name, conf["platform"].name, conf["runtime"].name)
    net = mace_pb2.NetDef()
    net.name = name
    return net


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--output", default="build")
    parser.add_argument("--enable_micro", action="store_true")
    return parser.parse_known_args()[0]


if __name__ == "__main__":
    flags = parse_args()
    convert(config_parser.parse(flags.config), flags.output, flags.enable_micro)
