"""Ops whose outputs are elements of their first input, moved, repeated or left out."""

LAYOUT = frozenset(("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"))
"""Those that only move: each element once."""

SELECTIONS = LAYOUT | {
    "DepthToSpace",
    "Expand",
    "Gather",
    "MaxPool",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Tile",
}
