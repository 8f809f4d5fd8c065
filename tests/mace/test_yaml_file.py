"""A YAML file: content as PyYAML reads it, the line of every key and item."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from hexconv.mace.yaml_file import Place, YamlFile, parse_yaml

TEXT = """\
# first
top: 1
models:
  a-b:   # the name
    list:
      - x

      - {k: 1,
         l: [2, 3]}
    1: one
    text: |
      two
      lines
base: &base
  in_base: 1
merged:
  <<: *base
  own: 2
"""


@pytest.mark.parametrize(
    "place, line",
    [
        ((), 1),
        (("top",), 2),
        (("models", "a-b"), 4),
        (("models", "a-b", "list"), 5),
        (("models", "a-b", "list", 0), 6),
        (("models", "a-b", "list", 1), 8),
        (("models", "a-b", "list", 1, "l"), 9),
        (("models", "a-b", "1"), 10),
        (("models", "a-b", "text"), 11),
        (("merged", "own"), 18),
        (("merged", "in_base"), 16),  # of the mapping: the key is elsewhere
        (("models", "a-b", "missing"), 4),
        (("models", "a-b", "list", 7), 5),
    ],
)
def test_the_line_is_that_of_the_key_or_of_what_is_around_it(place: Place, line: int) -> None:
    assert parse_yaml(TEXT).line(place) == line


@pytest.mark.parametrize(
    "text, data",
    [
        ("a: yes\nb: 010\nc: 1e3\nd: 1:30\n", {"a": True, "b": 8, "c": "1e3", "d": 90}),
        ("%YAML 1.2\n---\na: yes\n", {"a": True}),
        ("1: x\nnull: y\n", {"1": "x", "null": "y"}),
        ("a: 1\na: 2\n", {"a": 1}),
        ("", None),
        ("- 1\n- b\n", [1, "b"]),
    ],
)
def test_values_are_those_that_the_tools_of_mace_read(text: str, data: Any) -> None:
    """Keys are strings; else as PyYAML has it, but for repeated keys."""
    assert parse_yaml(text).data == data
    plain = yaml.safe_load(text)
    if isinstance(plain, dict) and text.count("a:") < 2:
        assert list(plain.values()) == list(data.values())


def test_repeated_keys_are_listed_with_their_lines() -> None:
    text = "a: {x: 1}\nb:\n  x: 1\n  y: 2\n  x: 3\na: 2\n"
    assert sorted(parse_yaml(text).twice) == [("a", 6), ("x", 5)]
    assert parse_yaml("a: &m {x: 1}\nb: {<<: *m, x: 2}\n").twice == []


@pytest.mark.parametrize("text", ["a: 1\nb: !!int x\n", "a: 1\nb: 2001-99-99\n"])
def test_a_value_that_is_not_of_its_kind_has_its_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"line 2: '(x|2001-99-99)' is no (int|timestamp)"):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "data", "lines"),
    [
        (
            "a: 1\nx: &x\n  <<: *x\n  y: 2\n",
            {"a": 1, "x": {"y": 2}},
            {("x",): 2, ("x", "y"): 4, ("x", "z"): 2},
        ),
        (
            "a: &a [1,\n  2]\nb:\n  - *a\n  - 3\n",
            {"a": [1, 2], "b": [[1, 2], 3]},
            {("a", 1): 2, ("b", 0): 4, ("b", 0, 1): 2, ("b", 1): 5, ("b", 9): 3},
        ),
        (
            "- !!set {x, y}\n- 0x1f: 1\n  ? [1]\n",
            None,
            {(1,): 2, (1, "0x1f"): 2},
        ),
    ],
)
def test_what_ruamel_does_not_read_has_its_lines(
    text: str, data: Any, lines: dict[Place, int]
) -> None:
    """ruamel.yaml raises AttributeError of a mapping that is merged into itself."""
    found = YamlFile(text) if data is None else parse_yaml(text)
    assert found.data == data
    assert {place: found.line(place) for place in lines} == lines


def test_merged_keys_give_way_to_own_ones_wherever_they_stand() -> None:
    text = "m: &m {x: 1, y: 1}\nn: &n {y: 2, z: 2}\nb: {x: 3, <<: [*m, *n]}\n"
    assert parse_yaml(text).data["b"] == {"x": 3, "y": 1, "z": 2} == yaml.safe_load(text)["b"]


def test_a_conversion_without_a_yaml_loads_no_ruamel() -> None:
    code = "import sys, hexconv.mace.deployment; sys.exit('ruamel.yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
