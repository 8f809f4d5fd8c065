"""The pages on the schema of reports, made from the schema itself.

python -m benchmarks.schema_page
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hexconv.schema import schema

DOCS = Path(__file__).parents[1] / "docs"
INTRODUCTION = {
    "en": """\
# The schema of reports

[中文](report-schema.zh-CN.md)

`NAME.report.json`, and everything that `--json` prints, is a document of one JSON schema (draft
2020-12): `hexconv/schema/report.schema.json`, in Python `hexconv.schema.schema()`. This page is
made from it by `python -m benchmarks.schema_page`.

- `--json` prints one document on stdout and nothing else; messages go to stderr. An error is a
  document as well, of the kind `error`, unless another was printed before it: a threshold that is
  missed is in `failures`.
- The same thing has the same name in every document. `name` and `op` are of nnlib, `onnx_node` and
  `onnx_op` of ONNX.
- `schema_version` is raised when a key is removed or changes its meaning. Keys may be added
  without that.
- A figure that is not finite is null. `NAME.report.json` is UTF-8 with sorted keys: the same bytes
  for the same model and samples.

```python
import json
from hexconv.schema import check_document

report = check_document(json.load(open("build/model.report.json")), "build/model.report.json")
report["cost"]["packets"], report["accuracy"]["outputs"][0]["calibration"]["sqnr"]
```
""",
    "zh": """\
# 报告的 schema

[English](report-schema.md)

`NAME.report.json` 以及 `--json` 打印的全部内容，都是同一个 JSON schema（draft 2020-12）的文档：
`hexconv/schema/report.schema.json`，在 Python 中为 `hexconv.schema.schema()`。
本页由 `python -m benchmarks.schema_page` 根据它生成。

- `--json` 在 stdout 上打印一个文档，除此之外没有别的内容；消息写到 stderr。
  错误也是文档，类别为 `error`，除非之前已打印了另一个文档：未达到的阈值在 `failures` 中。
- 同样的内容在每个文档中名称相同。`name` 和 `op` 属于 nnlib，`onnx_node` 和 `onnx_op` 属于 ONNX。
- 删除某个键或改变其含义时 `schema_version` 递增。增加键不会使它递增。
- 不是有限值的数据为 null。`NAME.report.json` 为 UTF-8，键已排序：相同的模型和样本得到相同的字节。

```python
import json
from hexconv.schema import check_document

report = check_document(json.load(open("build/model.report.json")), "build/model.report.json")
report["cost"]["packets"], report["accuracy"]["outputs"][0]["calibration"]["sqnr"]
```
""",
}
WORDS = {
    "en": ("The document", "key", "type", "meaning", "Kinds", "kind", "keys", "or", "of"),
    "zh": ("文档", "键", "类型", "含义", "类别", "类别", "键", "或", "："),
}


def page(language: str) -> str:
    """The page in a language, "en" or "zh"."""
    root, _, _, _, kinds, kind, keys, _, _ = WORDS[language]
    whole = schema()
    lines = [INTRODUCTION[language], f"## {kinds}\n", f"| {kind} | {keys} |", "|---|---|"]
    required = {
        rule["if"]["properties"]["kind"]["const"]: rule["then"]["required"]
        for rule in whole["allOf"]
    }
    for name in whole["properties"]["kind"]["enum"]:
        lines.append(f"| `{name}` | {', '.join(f'`{key}`' for key in required.get(name, ()))} |")
    lines += ["", f"## {root}\n", *_table(whole, language)]
    for name, definition in whole["$defs"].items():
        text = definition[_described(language)]
        lines += ["", f"## {name}\n", text, "", *_table(definition, language)]
    return "\n".join(lines) + "\n"


def _described(language: str) -> str:
    return "description" if language == "en" else "description-zh"


def _table(definition: Mapping[str, Any], language: str) -> Iterator[str]:
    _, key, kind, meaning, *_ = WORDS[language]
    yield f"| {key} | {kind} | {meaning} |"
    yield "|---|---|---|"
    yield from _rows(definition, language, "")


def _rows(definition: Mapping[str, Any], language: str, prefix: str) -> Iterator[str]:
    for name, item in definition["properties"].items():
        text = item.get(_described(language), "").replace("|", "\\|")
        yield f"| {prefix}`{name}` | {_type(item, language)} | {text} |"
        inner = item.get("items", item)
        if "properties" in inner:
            yield from _rows(inner, language, f"{prefix}`{name}` . ")


def _type(item: Mapping[str, Any], language: str) -> str:
    *_, either, of = WORDS[language]
    if "$ref" in item:
        name = item["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "anyOf" in item:
        return f" {either} ".join(_type(part, language) for part in reversed(item["anyOf"]))
    if "const" in item:
        return f"`{item['const']}`"
    if isinstance(item["type"], list):
        return f" {either} ".join(item["type"])
    for key in ("items", "additionalProperties"):
        if item.get(key):
            return f"{item['type']} {of} {_type(item[key], language)}"
    return str(item["type"])


def main() -> None:
    """Write both pages."""
    for language, name in (("en", "report-schema.md"), ("zh", "report-schema.zh-CN.md")):
        (DOCS / name).write_text(page(language), encoding="utf-8")


if __name__ == "__main__":
    main()
