"""MACE's files: the NetDef with its weights, the deployment YAML."""

from hexconv.mace.read import read_graph
from hexconv.mace.write import data_digest, data_pieces, to_proto

__all__ = ["data_digest", "data_pieces", "read_graph", "to_proto"]
