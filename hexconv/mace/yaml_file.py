"""A user's YAML: its content as MACE's tools read it, its lines, and changes that keep comments.

Content and lines are read by PyYAML, as MACE's tools do: ruamel.yaml takes `1e3`, tags and loops
for something else. Comments, quotes and order of a text that is changed are ruamel.yaml's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from hexconv.errors import ConfigError
from hexconv.files import read_bytes

Place = tuple[str | int, ...]
"""Keys and positions from the top: ("models", "conformer", "subgraphs", 0, "input_shapes")."""

MOST_ITEMS = 20_000
UNREAD = (AttributeError, KeyError, NotImplementedError, TypeError, ValueError)
"""What ruamel.yaml raises, beside its own, of texts that PyYAML reads."""
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INDENTED = re.compile(r"^( *)(- )?\w+:\n(?: *#.*\n)*\1(?(2)  )  - ", re.MULTILINE)
"""A list whose items are indented below their key."""


@dataclass
class YamlFile:
    """A YAML text.

    Attributes:
        text: the user's.
        data: dicts (keys are always strings), lists, strings, numbers, booleans, None.
        twice: repeated keys of a mapping, and their lines; the first is in the data.
    """

    text: str = ""
    data: Any = None
    twice: list[tuple[str, int]] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """The line of a place (of a value in a mapping, that of its key), or of one around it."""
        line, node = 1, self._nodes
        for part in place:
            found = _entry(node, part)
            if found is None:
                break
            line, node = found[0].line + 1, found[1]
        return line

    def rewritten(self, new: Mapping[str, Any]) -> str | None:
        """The text with other content.

        Returns:
            None where its form cannot carry the content (anchors that are shared).
        """
        from ruamel.yaml.error import YAMLError

        dumper, out = _keeping(), io.StringIO()
        if _INDENTED.search(self.text):
            dumper.indent(mapping=2, sequence=4, offset=2)
        try:
            document = dumper.load(self.text)
            _update(document, parse_yaml(self.text).data, new)
            dumper.dump(document, out)
            result = out.getvalue()
            return result if parse_yaml(result).data == new else None
        except (*UNREAD, YAMLError, yaml.YAMLError):
            return None

    @cached_property
    def _nodes(self) -> yaml.Node | None:
        """The text's nodes, which have their places in it."""
        found: yaml.Node | None = yaml.compose(self.text, Loader=_BASE)
        return found


def read_yaml(path: Path, what: str) -> YamlFile:
    """Read a YAML file.

    Raises:
        FileError: it cannot be read.
        ConfigError: it is not UTF-8, not YAML, or no plain data.
    """
    content = read_bytes(path, what)
    try:
        return parse_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"the {what} is not UTF-8", where=str(path), why=str(error)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        why = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"the {what} is not YAML", where=f"{path}{line}", why=why) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"the {what} is not YAML", where=str(path), why=why) from None
    except RecursionError:
        raise ConfigError(
            f"the {what} is nested too deeply", where=str(path), why="no deployment file is"
        ) from None


def parse_yaml(text: str) -> YamlFile:
    """One YAML document.

    Raises what PyYAML raises, and ValueError where anchors make it endless.
    """
    loader = _Loader(text)
    try:
        file = YamlFile(text)
        loader.twice = file.twice
        file.data = loader.get_single_data()
    finally:
        loader.dispose()
    _check_size(file.data, MOST_ITEMS)
    return file


def _entry(node: yaml.Node | None, part: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    """Where a key or an item stands, and its value; None where a mapping or list has it not."""
    if isinstance(node, yaml.MappingNode):
        items = ((key.start_mark, key, value) for key, value in node.value)
        return next(((mark, value) for mark, key, value in items if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return max(item.start_mark, node.start_mark, key=lambda mark: mark.index), item
    return None


def _check_size(data: Any, room: int) -> int:
    """What is left of `room` items; ValueError where there are more: anchors can make a short
    text endless."""
    if room == 0:
        raise ValueError(f"more than {MOST_ITEMS} items")
    room -= 1
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        room = _check_size(item, room)
    return room


def _scalar(loader: Any, node: Any, deep: bool = False) -> Any:
    """An object, as PyYAML makes it; its constructors take it that a text has their form."""
    try:
        return _BASE.construct_object(loader, node, deep)
    except yaml.YAMLError:
        raise
    except Exception as error:
        if not isinstance(node, yaml.ScalarNode):
            raise
        tag, line = node.tag.rpartition(":")[2], node.start_mark.line + 1
        raise ValueError(f"line {line}: '{node.value:.80}' is no {tag}") from error


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    """A mapping with its merge keys (`<<`) resolved: a key's first value, its own before others."""
    own = dict[str, Any]()
    for key, item in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key is no text", problem_mark=key.start_mark)
        name = str(key.value)
        if name in own:
            loader.twice.append((name, key.start_mark.line + 1))
        own.setdefault(name, item)
    loader.flatten_mapping(node)
    items = {str(key.value): item for key, item in node.value} | own
    items.pop("<<", None)
    return {name: loader.construct_object(item, deep=True) for name, item in items.items()}


_Loader: Any = type("_Loader", (_BASE,), {"construct_object": _scalar})
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _keeping() -> Any:
    """ruamel.yaml's reader and writer of everything that a text has."""
    from ruamel.yaml import YAML

    keeping = YAML()
    keeping.preserve_quotes = True
    keeping.width = 1000
    return keeping


def _update(node: Any, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
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


def _rename(node: Any, before: str, after: str) -> None:
    """A model under another name, with the comments above and beside it."""
    value = node.pop(before)
    comments = node.ca.items.pop(before, None)
    node.insert(0, after, value)
    if comments is not None:
        node.ca.items[after] = comments


def _delete(node: Any, key: str) -> None:
    """Remove a key, and the comment above it, which belongs to what stands before."""
    keys = list(node)
    place = keys.index(key)
    del node[key]
    if place:
        comment = node.ca.items.get(keys[place - 1])
        if comment and comment[2] is not None:
            beside = comment[2].value.split("\n", 1)[0]
            comment[2].value = f"{beside}\n"
