"""What MACE's tools/python/convert.py does, done by hexconv: OUTPUT/NAME/model for each model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.from_deployment import convert_deployment
from hexconv.mace.deployment_file import model_names
from hexconv.model import Model
from hexconv.settings import SettingsDict
from hexconv.tensor_ranges import Ranges, Samples

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class Converted:
    """A model of a YAML, converted and saved."""

    model: Model
    files: list[Path]

    @property
    def config(self) -> Path:
        """The YAML to give to MACE's run_model.py."""
        return next(path for path in self.files if path.suffix == ".yml")


def convert_all(
    config: str | Path,
    output: str | Path = "build",
    samples: Samples | None = None,
    ranges: Ranges | None = None,
    **settings: Unpack[SettingsDict],
) -> Iterator[Converted]:
    """Convert every model of a deployment YAML.

    Args:
        config: the YAML.
        output: the folder that run_model.py is given as --output.
        samples: as for `hexconv.convert`, in place of the YAML's.
        ranges: in place of the YAML's.
        **settings: see `hexconv.settings.Settings`.

    Raises:
        HexconvError: a model cannot be converted; those before it are written.
    """
    for name in model_names(Path(config)):
        model = convert_deployment(config, samples=samples, ranges=ranges, only=name, **settings)
        yield Converted(model, model.save(output, mace_layout=True))
