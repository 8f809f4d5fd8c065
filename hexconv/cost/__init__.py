"""The predicted cost of a graph on the DSP, and the measured cost in a phone's log."""

from hexconv.cost.prediction import Cost, CostSum, NodeCost, node_packets, predict

__all__ = ["Cost", "CostSum", "NodeCost", "node_packets", "predict"]
