"""A document of the schema as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree

from hexconv.argument_types import checks_types
from hexconv.report.document import in_units, warnings_of


class Case(NamedTuple):
    """One test: passed where `failure` is empty."""

    group: str
    name: str
    failure: str = ""
    text: str = ""


@checks_types()
def junit_xml(report: Mapping[str, Any]) -> bytes:
    """JUnit XML, UTF-8.

    One test for each node of `check`, each threshold of `verify` and `cost`, each figure of `diff`,
    and one for the command itself.

    Args:
        report: a document of the schema; an error is a test that fails.
    """
    cases = list(_cases(report))
    name = f"hexconv {report['kind']}"
    counts = {"tests": str(len(cases)), "failures": str(sum(bool(case.failure) for case in cases))}
    root = ElementTree.Element("testsuites", {"name": "hexconv", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts, "errors": "0"})
    for case in cases:
        attributes = {"classname": _legal(f"{name}.{case.group}"), "name": _legal(case.name)}
        item = ElementTree.SubElement(suite, "testcase", attributes)
        if case.failure:
            failed = ElementTree.SubElement(item, "failure", {"message": _legal(case.failure)})
            failed.text = _legal(case.text or case.failure)
        elif case.text:
            ElementTree.SubElement(item, "system-out").text = _legal(case.text)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _cases(report: Mapping[str, Any]) -> Iterator[Case]:
    if "error" in report:
        yield from _errors(report["error"])
    else:
        yield Case("command", "runs", "", "\n".join(warnings_of(report)))
    for row in report.get("rows", ()):
        failure = (row["error"] or f"off by {row['steps']:.1f} steps") if row["broken"] else ""
        yield Case("levels", f"{row['output']} at {row['what']}", failure)
    for node in report.get("nodes", ()):
        yield Case(node["op"], node["name"], "differs" if node["verdict"] == "differs" else "")
    for node in (report.get("coverage") or {}).get("nodes", ()):
        text = "\n".join(filter(None, (node["reason"], node["hint"] and f"hint: {node['hint']}")))
        yield Case(node["onnx_op"], node["onnx_node"] or node["onnx_op"], node["reason"], text)
    for row in report.get("thresholds", ()):
        label = f"{row['figure']} {row['of']}".strip()
        value, limit = (in_units(row["figure"], row[key]) for key in ("value", "limit"))
        said = f"{value}, limit {limit}"
        yield Case("thresholds", label, "" if row["ok"] else f"{label} is {said}", said)
    for item in (report.get("diff") or {}).get("changes", ()):
        label = f"{item['figure']} {item['of']}".strip()
        said = f"{_value(item['old'])} before, {_value(item['new'])} now {item['unit']}".strip()
        yield Case("diff", label, f"{label}: {said}" if item["worse"] else "", said)


def _errors(error: Mapping[str, Any]) -> Iterator[Case]:
    parts = (error["what"], *(f"{key}: {error[key]}" for key in ("where", "why", "hint")))
    text = "\n".join(part for part in parts if part.partition(": ")[2] or part == error["what"])
    yield Case("command", "runs", error["what"] or error["type"], text)
    for row in error["unsupported"]:
        told = "\n".join(filter(None, (row["why"], row["hint"] and f"hint: {row['hint']}")))
        yield Case(row["onnx_op"] or "model", row["onnx_node"] or row["where"], row["what"], told)


def _value(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _legal(text: str) -> str:
    """Text that XML 1.0 can hold: no control characters and no halves of surrogates."""
    return "".join(
        c
        if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
        else "?"
        for c in text
    )
