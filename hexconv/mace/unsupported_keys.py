"""Keys of a deployment YAML that are right for MACE, and that hexconv does not do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hexconv.mace.deployment_rules import Mistake, as_list
from hexconv.mace.yaml_file import Place

ANDROID = ("arm64-v8a", "armeabi-v7a")
"""ABIs for which MACE builds its Hexagon runtime (CMakeLists.txt, third_party/nnlib)."""

# key, the only value that hexconv does (None: the key is left out), what to write instead
_TOP: tuple[tuple[str, Any, str], ...] = (
    (
        "model_graph_format",
        "file",
        "hexconv writes NAME.pb: write model_graph_format: file. To get C++ code, run MACE's own "
        "converter.py with `python -m hexconv mace exec`",
    ),
    ("quantize_stat", 0, "use hexconv calibrate instead"),
)
_MODEL: tuple[tuple[str, Any, str], ...] = (
    ("platform", "onnx", "hexconv reads ONNX: export the model, and write platform: onnx"),
    ("runtime", "dsp", "hexconv makes models for the DSP: write runtime: dsp"),
    (
        "obfuscate",
        0,
        "names are kept, to compare layer by layer: write obfuscate: 0. To get other names, run "
        "MACE's own converter.py with `python -m hexconv mace exec`",
    ),
    ("quantize_large_weights", 0, "all weights are quantized: write 0"),
    ("quantize_stat", 0, "use hexconv calibrate instead"),
    ("quantize_schema", None, "the DSP computes in uint8 in one way: leave it out"),
    ("graph_optimize_options", None, "leave it out: --without NAME disables one rewrite"),
    ("accelerator_api", None, "it is not for the Hexagon DSP: leave it out"),
    ("order", 0, "there is one subgraph: write order: 0"),
    (
        "check_tensors",
        None,
        "MACE would request them from the DSP, which returns no inner tensors: leave it out; "
        "`hexconv verify` compares layer by layer",
    ),
    ("check_shapes", None, "leave it out, as check_tensors"),
)
_IDLE = (
    "winograd",
    "weight_file_path",
    "limit_opencl_kernel_time",
    "opencl_queue_window_size",
    "cl_mem_type",
    "nnlib_graph_mode",
    "apu_version_with_no_device",
    "docker_image_tag",
    "dockerfile_path",
)


def unsupported(data: Mapping[str, Any]) -> list[Mistake]:
    """What of a file, right by itself, hexconv does not do."""
    models = data["models"]
    if len(models) > 1:
        what = f"the file contains {len(models)} models: {', '.join(models)}"
        hint = "hexconv convert reads one: split the file, or use `hexconv mace convert`"
        return [Mistake(("models",), what, hint)]
    ((name, entry),) = models.items()
    above: Place = ("models", name)
    graphs = entry["subgraphs"]
    if len(graphs) > 1:
        what = f"there are {len(graphs)} subgraphs"
        hint = "hexconv converts models that run on the DSP whole: keep one"
        return [Mistake((*above, "subgraphs"), what, hint)]
    key = 0 if isinstance(graphs, list) else next(iter(graphs))
    inner: Place = (*above, "subgraphs", key)
    return [
        *_wrong(_TOP, data, data, (), ()),
        *_foreign_abis(data),
        *_wrong(_MODEL, {**entry, **graphs[key]}, graphs[key], inner, above),
        *_interface({**entry, **graphs[key]}, inner),
    ]


def _wrong(
    table: tuple[tuple[str, Any, str], ...],
    merged: Mapping[str, Any],
    graph: Mapping[str, Any],
    inner: Place,
    above: Place,
) -> Iterator[Mistake]:
    for word, wanted, hint in table:
        value = merged.get(word, wanted)
        if value != wanted:
            place = (*(inner if word in graph else above), word)
            yield Mistake(place, f"hexconv does not support {word}: {value}", hint)


def _foreign_abis(data: Mapping[str, Any]) -> Iterator[Mistake]:
    for index, abi in enumerate(data.get("target_abis", ())):
        if abi not in ANDROID:
            what = f"MACE has no Hexagon runtime for {abi}"
            yield Mistake(("target_abis", index), what, f"keep {' and '.join(ANDROID)}")


def _interface(merged: Mapping[str, Any], inner: Place) -> Iterator[Mistake]:
    for side in ("input", "output"):
        types = as_list(merged.get(f"{side}_data_types"))
        if any(kind != "float32" for kind in types):
            what = "MACE's DSP runtime reads and writes float32"
            yield Mistake((*inner, f"{side}_data_types"), what, "write float32, or leave it out")
        aliases = as_list(merged.get(f"{side}_aliases"))
        if aliases and aliases != as_list(merged[f"{side}_tensors"]):
            what = "hexconv does not rename tensors"
            yield Mistake((*inner, f"{side}_aliases"), what, "leave the aliases out")


def idle_keys(merged: Mapping[str, Any]) -> list[str]:
    """Keys whose value has no effect."""
    found = [f"{key}: {merged[key]} has no effect on the DSP" for key in _IDLE if merged.get(key)]
    if merged.get("change_concat_ranges"):
        found.append("change_concat_ranges has no effect: hexconv chooses Concat's ranges itself")
    return found
