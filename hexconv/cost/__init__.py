"""What a graph costs on the DSP before it runs there, and what a phone's log says it cost."""

from hexconv.cost.prediction import Cost, CostSum, NodeCost, node_packets, predict

__all__ = ["Cost", "CostSum", "NodeCost", "node_packets", "predict"]
