"""Options of the command line and their names in Python.

Messages are written with the command line's options. Raised through Python they name the keyword
arguments instead: `--shape speech=1,144,40` becomes `shapes={"speech": (1, 144, 40)}`.
"""

from __future__ import annotations

import re

FLAGS = {
    "samples": "samples=",
    "ranges": "ranges=",
    "mean": "mean=",
    "scale": "scale=",
    "input-range": "input_ranges=",
    "percentile": "percentile=",
    "float-fallback": "float_fallback=True",
    "strict": "strict=True",
    "constant": "constants=",
    "inputs": "inputs=",
    "outputs": "outputs=",
    "stateful": "stateful=True",
    "split auto": 'at="auto"',
    "split": "hexconv.convert_split",
}
"""Options that are named alone."""

VALUES = {
    "optimize": 'optimize="{}"',
    "observer": 'observer="{}"',
    "accuracy": 'accuracy="{}"',
    "extra-packets": "extra_packets={}",
    "unroll": "unroll={}",
    "without": 'without=["{}"]',
    "keep-float": 'keep_float=["{}"]',
    "name": 'name="{}"',
    "library-file": 'hexconv.device.Library("{}")',
    "library": 'library="{}"',
}
"""Options that are named with a value."""

_SHAPE = re.compile(r"--shape ([^\s=]+)=([\d?]+(?:,[\d?]+)*)")
_SHAPES = re.compile(rf"{_SHAPE.pattern}(?: {_SHAPE.pattern})*")
_CONSTANT = re.compile(r"--constant ([^\s=]+)=([^\s;]*[^\s;.,])")
_CONSTANTS = re.compile(rf"{_CONSTANT.pattern}(?: {_CONSTANT.pattern})*")
_TENSORS = re.compile(r"--(inputs|outputs) ([^\s;\"']*[^\s;\"'.,])")
_VALUE = re.compile(rf"--({'|'.join(VALUES)})[ =]([\w./,-]*\w)")
_CUT = re.compile(r"--split (?!auto\b)([^\s\"']*[^\s\"'.,])")
_FLAG = re.compile(rf"--({'|'.join([*FLAGS, *VALUES])})\b")


def in_python(text: str) -> str:
    """A message with keyword arguments where it names options of the command line."""
    text = _SHAPES.sub(lambda match: f"shapes={{{_shapes(match[0])}}}", text)
    text = _CONSTANTS.sub(lambda match: f"constants={{{_constants(match[0])}}}", text)
    text = _TENSORS.sub(lambda match: f"{match[1]}={match[2].split(',')}", text)
    text = _CUT.sub(lambda match: f"at={match[1].split(',')}", text)
    text = _VALUE.sub(lambda match: VALUES[match[1]].format(match[2]), text)
    return _FLAG.sub(lambda match: FLAGS.get(match[1], f"{_keyword(match[1])}="), text)


def _shapes(options: str) -> str:
    entries = []
    for name, sizes in _SHAPE.findall(options):
        listed = sizes.replace(",", ", ") + ("," if "," not in sizes else "")
        entries.append(f'"{name}": ({listed})')
    return ", ".join(entries)


def _constants(options: str) -> str:
    entries = []
    for name, value in _CONSTANT.findall(options):
        text = value.title() if value in ("true", "false") else value
        quoted = f'"{text}"' if text.endswith(".npy") else text
        entries.append(f'"{name}": {quoted}')
    return ", ".join(entries)


def _keyword(option: str) -> str:
    return option.replace("-", "_")
