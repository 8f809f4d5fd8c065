"""Examples that `--help` ends with, by command."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": (
        "hexconv demo",
        "hexconv check model.onnx --shape speech=1,144,40",
        "hexconv convert model.onnx --samples samples/ -o build",
        "hexconv verify model.onnx --samples samples/",
    ),
    "bench": ("hexconv bench", "hexconv bench --model model.onnx --input x.npy --cpp -l O3"),
    "calibrate": (
        "hexconv calibrate model.onnx --samples samples/ -o model.ranges",
        "hexconv calibrate --merge a.npz b.npz -o model.ranges",
    ),
    "check": (
        "hexconv check model.onnx --shape speech=1,144,40",
        "hexconv check model.onnx --all",
    ),
    "convert": (
        "hexconv convert model.onnx --samples samples/ -o build",
        "hexconv convert model.onnx --shape speech=1,144,40 --ranges model.ranges",
        "hexconv convert --config my_dsp.yml",
        "hexconv convert model.onnx --preset conformer_dsp",
        "hexconv convert model.onnx --samples samples/ --split auto",
    ),
    "cost": (
        "hexconv cost build/model.pb",
        "hexconv cost build/model.pb --by node --top 10 --soc sd865",
        "hexconv cost build/model.pb --compare build/other.pb",
        "hexconv cost build/model.pb --fail-above packets=4M",
    ),
    "demo": ("hexconv demo -o build/demo",),
    "device setup": ("hexconv device setup --library-file libhexagon_nn_skel.so",),
    "device ops": ("hexconv device ops --library-file libhexagon_nn_skel.so",),
    "device run": ("hexconv device run build/model.pb --input speech=speech.npy -o out",),
    "device profile": ("hexconv device profile build/model.pb --all",),
    "device compare": ("hexconv device compare build/model.pb --input speech=speech.npy",),
    "diff": (
        "hexconv diff old/net.report.json new/net.report.json",
        "hexconv diff old.report.json new.report.json --fail-if-worse",
    ),
    "exact": ("hexconv exact build/model.pb --library v60",),
    "explore": (
        "hexconv explore build/model.pb verify.json",
        "hexconv explore build/model.pb --onnx model.onnx",
    ),
    "export hifigan": (
        "hexconv export hifigan --variant voice -o voice.onnx",
        "hexconv export hifigan --config config_v1.json --checkpoint g_02500000",
    ),
    "mace convert": ("hexconv mace convert --config my_dsp.yml --output build",),
    "mace exec": ("hexconv mace exec tools/python/convert.py --config my_dsp.yml",),
    "ops": ("hexconv ops", "hexconv ops MatMul", "hexconv ops --unsupported"),
    "phone plan": ("hexconv phone build/model.pb --soc sd855",),
    "phone run": ("hexconv phone run build/model.pb --inputs speech=speech.npy",),
    "phone profile": ("hexconv phone profile build/model.pb -o phone.log",),
    "preset list": ("hexconv preset list",),
    "preset show": ("hexconv preset show conformer_dsp > my_dsp.yml",),
    "profile": (
        "hexconv profile phone.log --against build/model.pb",
        "hexconv profile phone.log --compare before.log --by node",
    ),
    "report": (
        "hexconv report build/model.pb",
        "hexconv report build/model.pb verify.json --html model.html",
    ),
    "simulate": (
        "hexconv simulate build/model.pb --input speech=speech.npy -o out",
        "hexconv simulate build/model.pb --input samples/ --library v60",
    ),
    "verify": (
        "hexconv verify model.onnx --samples samples/ --test held-out/",
        "hexconv verify model.onnx --samples samples/ --fail-below sqnr=25",
        "hexconv verify --model build/model.pb --float model.onnx --samples in/",
    ),
    "vocode": ("hexconv vocode --wav voice.wav --backend onnx,simulate -o vocoded",),
}


def epilog(name: str, title: str) -> str:
    """The end of a command's help.

    Args:
        name: of the command: "device run"; "" for the program itself.
        title: above the examples.
    """
    lines = [f"  {line}" for line in EXAMPLES.get(name, ())]
    return "\n".join(["\b", title, *lines]) if lines else ""
