"""YAML text as plain data, with the line of every key and item."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hexconv.errors import ConfigError
from hexconv.files import read_bytes

Place = tuple[str | int, ...]
"""Keys and positions from the top: ("models", "conformer", "subgraphs", 0, "input_shapes")."""

MOST_ITEMS = 20_000
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Lines:
    """Plain data and its lines.

    Attributes:
        data: dicts (keys are always strings), lists, strings, numbers, booleans, None.
        numbers: the line of each place; of a value in a mapping, that of its key.
        twice: repeated keys of a mapping, and their lines.
    """

    data: Any = None
    numbers: dict[Place, int] = field(default_factory=dict)
    twice: list[tuple[Place, int]] = field(default_factory=list)

    def of(self, place: Place) -> int:
        """The line of a place, or of the nearest place around it."""
        while place and place not in self.numbers:
            place = place[:-1]
        return self.numbers.get(place, 1)


def read_yaml(path: Path, what: str) -> Lines:
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


def parse_yaml(text: str) -> Lines:
    """Plain data of one YAML document.

    Raises what PyYAML raises, and ValueError where anchors make it endless.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines = Lines()
        if node is not None:
            lines.data = _Reader(loader, lines).value(node, ())
        return lines
    finally:
        loader.dispose()


class _Reader:
    """Walks composed nodes; counts them, because anchors can make a short text endless."""

    def __init__(self, loader: Any, lines: Lines) -> None:
        self.loader, self.lines, self.count = loader, lines, 0

    def value(self, node: Any, place: Place) -> Any:
        """The data of a node at a place."""
        self.count += 1
        if self.count > MOST_ITEMS:
            raise ValueError(f"more than {MOST_ITEMS} items")
        self.lines.numbers.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        try:
            return self.loader.construct_object(node)
        except yaml.YAMLError:
            raise
        except Exception as error:  # PyYAML's constructors take it that the text has their form
            tag, line = node.tag.rpartition(":")[2], node.start_mark.line + 1
            raise ValueError(f"line {line}: '{node.value:.80}' is no {tag}") from error

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        """A mapping with its merge keys (`<<`) resolved, the first of equal keys kept."""
        result: dict[str, Any] = {}
        own = len(node.value)
        self.loader.flatten_mapping(node)
        for key, item in node.value:
            name = str(key.value)
            inner = (*place, name)
            if name in result:
                if len(node.value) == own:
                    self.lines.twice.append((inner, key.start_mark.line + 1))
                continue
            self.lines.numbers[inner] = key.start_mark.line + 1
            result[name] = self.value(item, inner)
        return result
