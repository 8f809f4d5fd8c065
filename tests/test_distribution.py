"""Installed: under which name, beside which other package, from where, and on which console."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

import hexconv
from hexconv import cli, distribution
from hexconv.distribution import foreign, pip_install
from hexconv.errors import MissingExtra
from tests.cli.converting import tiny

ROOT = Path(hexconv.__file__).parents[1]
HINT = re.compile(r"pip install [^\n]*?'?\b(hexconv[\w-]*)(?:\[([\w,]+)\])?")


def run(
    *arguments: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, *arguments]
    around = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=cwd, env=around, capture_output=True, timeout=120)


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_hints_name_the_distribution_of_pyproject() -> None:
    assert project()["name"] == distribution.NAME
    assert MissingExtra("torch", "export").hint == "pip install 'hexconv-mace[export]'"


def test_no_hint_installs_the_other_project_of_that_name() -> None:
    extras = project()["optional-dependencies"]
    texts = [*ROOT.glob("hexconv/**/*.py"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("README*.md")]
    found = [hit for path in texts for hit in HINT.findall(path.read_text(encoding="utf-8"))]
    assert found
    for name, wanted in found:
        assert name == distribution.NAME
        assert all(extra in extras for extra in wanted.split(",") if extra)


def test_every_extra_that_the_code_names_exists() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("hexconv/**/*.py"))
    named = re.findall(r'(?:MissingExtra\("\w+", |pip_install\()["\'](\w+)["\']', code)
    assert set(named) >= {"export", "device"}
    assert set(named) <= set(project()["optional-dependencies"])


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("hexconv-0.3.1.dist-info", "hexconv 0.3.1"),
        ("hexconv_mace-0.2.0.dist-info", None),
        ("hexconv.egg-info", None),
        ("hexconverter-1.0.dist-info", None),
    ],
)
def test_another_package_is_known_by_its_metadata(
    tmp_path: Path, entry: str, found: str | None
) -> None:
    (tmp_path / entry).mkdir()
    assert foreign(str(tmp_path)) == found


def test_nothing_foreign_is_beside_this_checkout() -> None:
    assert foreign() is None


def test_the_command_names_the_other_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "foreign", lambda: "hexconv 0.3.1")
    monkeypatch.setattr(sys, "argv", ["hexconv", "--version"])
    assert cli.main() == 2
    said = capsys.readouterr().err
    assert "'hexconv 0.3.1'" in said and pip_install() in said


def test_an_archive_is_rejected_with_the_reason(tmp_path: Path) -> None:
    archive = tmp_path / "hexconv.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in ROOT.glob("hexconv/**/*.py"):
            file.write(path, path.relative_to(ROOT))
    done = run(
        "-c",
        "import hexconv.op_table as t; t.load()['Relu']",
        cwd=tmp_path,
        PYTHONPATH=str(archive),
    )
    assert b"cannot run from inside an archive" in done.stderr
    assert pip_install().encode() in done.stderr


def test_output_is_utf8_on_a_console_of_another_code_page() -> None:
    command = ("-m", "hexconv", "ops", "--wide", "--lang", "zh")
    done = run(*command, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr.decode()
    assert any("\u4e00" <= character <= "\u9fff" for character in done.stdout.decode("utf-8"))


def test_help_imports_no_verb_and_no_numpy() -> None:
    program = (
        "import sys\nfrom hexconv.cli import group\n"
        "group(['--help'], standalone_mode=False)\n"
        "print([name for name in sys.modules if name.startswith('hexconv.cli.') "
        "and '._' not in name])\n"
        "print('numpy' in sys.modules, 'yaml' in sys.modules, 'rich' in sys.modules)\n"
    )
    done = run("-c", program)
    assert done.stdout.decode().splitlines()[-2:] == ["[]", "False False False"], done.stderr


@pytest.mark.parametrize("verb", cli.group.list_commands(None))  # type: ignore[arg-type]
def test_each_verb_says_in_its_first_line_what_it_does(verb: str) -> None:
    first = (cli.FOLDER / f"{verb}.py").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f'"""`hexconv {verb}`: ') and first.endswith('."""')
    assert 10 < len(cli.summary(verb)) < 80


def test_each_python_of_the_classifiers_is_tried_by_the_workflows() -> None:
    named = re.findall(r":: (3\.\d+)", "\n".join(project()["classifiers"]))
    assert project()["requires-python"] == f">={named[0]}"
    for workflow in ("ci.yml", "release.yml"):
        text = (ROOT / ".github" / "workflows" / workflow).read_text(encoding="utf-8")
        matrices = re.findall(r"matrix: \{python: \[(.*)\]\}", text)
        assert matrices and all(re.findall(r"3\.\d+", found) == named for found in matrices)


@pytest.mark.parametrize("page", ["releasing.md", "releasing.zh-CN.md"])
def test_the_page_on_releases_has_every_lower_bound(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for requirement in project()["dependencies"]:
        name, bound = requirement.split(">=")
        assert f"{name} {bound}" in text, requirement


WITHOUT_UNIX = """
import os, signal, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("SIGALRM", "SIGHUP", "setitimer"):
    delattr(signal, name)
for name in ("O_NOFOLLOW", "geteuid", "pidfd_open", "sched_getaffinity"):
    delattr(os, name)
import hexconv.__main__
hexconv.__main__.main()
"""


def test_conversion_and_simulation_need_nothing_that_only_unix_has(tmp_path: Path) -> None:
    onnx.save(tiny(), tmp_path / "tiny.onnx")
    np.save(tmp_path / "a.npy", np.linspace(-1, 1, 384, dtype="f4").reshape(3, 8, 16))
    for command in (
        ("convert", "tiny.onnx", "--samples", "a.npy", "-q"),
        ("simulate", "build/tiny.pb", "--input", "speech=a.npy"),
        ("cost", "build/tiny.pb"),
    ):
        done = run("-c", WITHOUT_UNIX, *command, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
