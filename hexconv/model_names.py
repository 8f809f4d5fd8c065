"""Names of models that MACE accepts: it makes C++ identifiers of them."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.errors import ConfigError

if TYPE_CHECKING:
    import onnx

IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)

# Keywords of C++ and words of its preprocessor: MACE's converter rejects a model of such a name
# (CPP_KEYWORDS in its tools/python/utils/config_parser.py).
_WORDS = """
alignas alignof and and_eq asm atomic_cancel atomic_commit atomic_noexcept auto bitand bitor
bool break case catch char char16_t char32_t class co_await co_return co_yield compl concept
const const_cast constexpr continue decltype default define defined delete do double
dynamic_cast elif else endif enum error explicit export extern false final float for friend
goto if ifdef ifndef import include inline int line long module mutable namespace new
noexcept not not_eq nullptr operator or or_eq override pragma private protected public
register reinterpret_cast requires return short signed sizeof static static_assert
static_cast struct switch synchronized template this thread_local throw transaction_safe
transaction_safe_dynamic true try typedef typeid typename undef union unsigned using virtual
void volatile wchar_t while xor xor_eq
"""
RESERVED = frozenset(_WORDS.split())


DIGITS = 6
"""Hexadecimal digits of the hash in a name that has other letters than ASCII."""


def own_name(source: str | Path | onnx.ModelProto) -> str:
    """The name of a file without its suffix, or of a graph."""
    return Path(source).stem if isinstance(source, (str, Path)) else source.graph.name


def model_name(source: str | Path | onnx.ModelProto) -> str:
    """A name that MACE accepts, from the file's or the graph's.

    A name in other letters than ASCII keeps what it has of these, and a part of its SHA-256 tells
    it from others: models of different names do not overwrite each other.
    """
    stem = own_name(source)
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)
    if not stem.isascii():
        digest = sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
        name = "_".join(["model", *re.findall(r"[A-Za-z0-9]+", stem), digest])
    return name if fault(name) is None else f"model_{name}".rstrip("_")


def fault(name: str) -> str | None:
    """What to do about a name that MACE does not accept; None for one that it does."""
    if not IDENTIFIER.fullmatch(name):
        return "use letters, digits and _, not a digit first"
    if name in RESERVED:
        return f"use letters, digits and _ that are no word of C++: model_{name}"
    return None


def check_model_name(name: str) -> None:
    """Check a name against what MACE accepts.

    Raises:
        ConfigError: it cannot name a model.
    """
    hint = fault(name)
    if hint is not None:
        raise ConfigError(
            f"'{name}' cannot name a model", why="MACE makes a C++ name of it", hint=hint
        )
