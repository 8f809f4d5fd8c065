"""Verify on the real library: needs HEXCONV_LIBRARY, which CI has not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import hexconv
from hexconv.cli import group
from hexconv.compare import verify
from hexconv.device import Library
from hexconv.errors import ConfigError
from hexconv.nnlib.versions import LibraryVersion
from tests import real_library
from tests.compare.nets import convolutions, samples

pytestmark = real_library.NEEDED


def test_device_and_simulator_give_the_same_figures() -> None:
    model = hexconv.convert(convolutions(), samples=samples(3))
    library = Library()
    real = verify(model, convolutions(), samples(2), device=library)
    ours = verify(model, convolutions(), samples(2), library=library.version)
    assert (real.on, real.library) == ("device", library.version)
    assert real.outputs == ours.outputs
    found = {row.tensor: row.worst.accumulated for row in real.layers}
    assert found["second"] is not None
    for row in ours.layers:
        if found[row.tensor] is not None:
            assert found[row.tensor] == row.worst.accumulated


def test_another_version_than_the_librarys_is_an_error() -> None:
    library = Library()
    other: LibraryVersion = "v60" if library.version != "v60" else "v66"
    model = hexconv.convert(convolutions(), samples=samples(3))
    with pytest.raises(ConfigError, match=f"this library is {library.version}, not {other}"):
        verify(model, convolutions(), samples(2), library=other, device=library)


def test_a_model_for_another_version_is_compared_by_the_librarys() -> None:
    """A phone runs whatever .pb it gets: the figures are those of its own library."""
    library = Library()
    other: LibraryVersion = "v60" if library.version != "v60" else "v66"
    model = hexconv.convert(convolutions(), samples=samples(3), library=other)
    real = verify(model, convolutions(), samples(2), device=library)
    ours = verify(model, convolutions(), samples(2), library=library.version)
    assert real.library == library.version
    assert real.outputs == ours.outputs


def test_sides_are_compared_node_by_node(tmp_path: Path) -> None:
    onnx.save(convolutions(), tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", samples(1)[0]["x"])
    result = CliRunner().invoke(
        group,
        [
            "verify",
            str(tmp_path / "net.onnx"),
            "--samples",
            str(tmp_path / "x.npy"),
            "--compare",
            "simulate,device",
            "--json",
        ],
        catch_exceptions=False,
        standalone_mode=False,
    )
    rows = json.loads(result.stdout)["nodes"]
    assert rows and {row["verdict"] for row in rows} <= {"exact", "unseen"}
