"""A deployment YAML changed in place: its comments, quotes and order are kept."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from hexconv.mace.yaml_lines import parse_yaml

_INDENTED = re.compile(r"^( *)(- )?\w+:\n(?: *#.*\n)*\1(?(2)  )  - ", re.MULTILINE)
"""A list whose items are indented below their key."""


def rewritten(text: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """A YAML text with other values.

    Args:
        text: of the user.
        old: its content as plain data.
        new: the content that it shall have.

    Returns:
        The text; None where its form cannot carry the new content (anchors that are shared).
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    if _INDENTED.search(text):
        yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        document = yaml.load(text)
        _update(document, old, new)
        out = io.StringIO()
        yaml.dump(document, out)
        result = out.getvalue()
        return result if parse_yaml(result).data == new else None
    except (YAMLError, KeyError, ValueError, TypeError):
        return None


def _update(node: CommentedMap, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Change what differs; a model of another name keeps its place."""
    removed, added = [k for k in old if k not in new], [k for k in new if k not in old]
    if len(old) == len(new) == len(removed) == len(added) == 1:
        _rename(node, removed[0], added[0])
        old = {added[0]: old[removed[0]]}
    for key in old:
        if key not in new:
            _delete(node, key)
    for key, value in new.items():
        if key not in old:
            node[key] = value
        elif value != old[key]:
            _change(node, key, old[key], value)


def _change(node: Any, key: str | int, old: Any, value: Any) -> None:
    if isinstance(old, dict) and isinstance(value, dict):
        _update(node[key], old, value)
    elif isinstance(old, list) and isinstance(value, list) and len(old) == len(value):
        for index, (before, after) in enumerate(zip(old, value, strict=True)):
            if before != after:
                _change(node[key], index, before, after)
    elif isinstance(old, list) and isinstance(value, list) and old:
        shared = min(len(old), len(value))
        _change(node, key, old[:shared], value[:shared])
        node[key][shared:] = value[shared:]
    else:
        node[key] = value


def _rename(node: CommentedMap, before: str, after: str) -> None:
    """A model under another name, with the comments above and beside it."""
    value = node.pop(before)
    comments = node.ca.items.pop(before, None)
    node.insert(0, after, value)
    if comments is not None:
        node.ca.items[after] = comments


def _delete(node: CommentedMap, key: str) -> None:
    """Remove a key, and the comment above it, which belongs to what stands before."""
    keys = list(node)
    place = keys.index(key)
    del node[key]
    if place:
        comment = node.ca.items.get(keys[place - 1])
        if comment and comment[2] is not None:
            beside = comment[2].value.split("\n", 1)[0]
            comment[2].value = f"{beside}\n"
