"""Rewrites of the float graph, anchored at a node, registered by a decorator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from hexconv.onnx_graph.build import Builder

# Answers whether it changed the graph.
Function = Callable[[ir.Node, Builder], bool]


@dataclass(frozen=True)
class Rewrite:
    """A rule and what it is.

    `recognition` marks those that put one op where an exporter wrote several; the others
    simplify, and the DSP would compute the same without them.
    """

    name: str
    function: Function
    recognition: bool


REWRITES: dict[str, list[Rewrite]] = {}


def rewrites(*anchors: str, recognition: bool = False) -> Callable[[Function], Function]:
    """Register a rule that looks at nodes of the ops `anchors`."""

    def register(function: Function) -> Function:
        for anchor in anchors:
            rule = Rewrite(function.__name__, function, recognition)
            REWRITES.setdefault(anchor, []).append(rule)
        return function

    return register
