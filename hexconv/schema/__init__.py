"""The one schema of `NAME.report.json` and of everything that `--json` prints."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hexconv.distribution import version
from hexconv.errors import FileError, HexconvError, UnsupportedOpError, UnsupportedOpErrors

SCHEMA_VERSION = 1
"""Raised when a key is removed or changes its meaning; new keys do not change it."""
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


@functools.cache
def schema() -> Mapping[str, Any]:
    """The JSON schema (draft 2020-12), with a description of every key."""
    found: Mapping[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return found


def document(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A document of the schema: its head, and a body of plain data.

    Args:
        kind: of the schema's `kind`.
        body: the keys of the kind; figures that are not finite become null.
    """
    head = {"schema_version": SCHEMA_VERSION, "kind": kind, "hexconv": version()}
    return {**head, **_finite(body)}


def to_json(found: Mapping[str, Any]) -> str:
    """The text of a report file: the same bytes for the same document."""
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def error_document(error: HexconvError) -> dict[str, Any]:
    """An error as a document: the parts of its message, and the unsupported nodes if it lists any.

    Args:
        error: as the command line reports it.
    """
    listed: tuple[UnsupportedOpError, ...] = ()
    if isinstance(error, UnsupportedOpErrors):
        listed = error.unsupported
    elif isinstance(error, UnsupportedOpError):
        listed = (error,)
    return document(
        "error",
        {
            "error": {
                "type": type(error).__name__,
                "exit_code": error.exit_code,
                **_parts(error),
                "unsupported": [
                    {"onnx_node": item.node, "onnx_op": item.op, **_parts(item)} for item in listed
                ],
            }
        },
    )


def check_document(found: Any, where: str) -> dict[str, Any]:
    """Validate a document that was read.

    Args:
        found: the parsed JSON.
        where: the file, for the message.

    Raises:
        FileError: it is not a document of this schema.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    written = found.get("schema_version") if isinstance(found, dict) else None
    if written != SCHEMA_VERSION:
        said = "no schema_version" if written is None else f"schema_version {written}"
        raise FileError(
            "this is no report of this version of hexconv",
            where=where,
            why=f"it has {said}, and {SCHEMA_VERSION} is read",
            hint="write it again: hexconv convert, or the command with --json",
        )
    fault = best_match(Draft202012Validator(schema()).iter_errors(found))
    if fault is not None:
        raise FileError(
            "the report is damaged", where=where, why=f"{fault.json_path}: {_short(fault.message)}"
        )
    checked: dict[str, Any] = found
    return checked


def _parts(error: HexconvError) -> dict[str, str]:
    return {"what": error.what, "where": error.where, "why": error.why, "hint": error.hint}


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _finite(value: Any) -> Any:
    """Infinite figures as null: JSON has no number for them."""
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
