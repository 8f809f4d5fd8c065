"""Small graphs, one node of interest each, over the sizes that networks have."""

from .bench import Bench, Case
from .convolutions import convolutions, images, lines, rows
from .deep import deep
from .elementwise import binary, reductions, unary
from .floats import floats
from .moves import joins, moves
from .others import others, pools, products

__all__ = [
    "Bench",
    "Case",
    "binary",
    "convolutions",
    "deep",
    "floats",
    "images",
    "joins",
    "lines",
    "moves",
    "others",
    "pools",
    "products",
    "reductions",
    "rows",
    "unary",
]
