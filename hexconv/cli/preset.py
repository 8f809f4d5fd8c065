"""`hexconv preset`: the deployment YAMLs that ship with hexconv."""

from __future__ import annotations

import click

from hexconv.cli._terminal import table
from hexconv.translation import language


@click.group()
def command() -> None:
    """Deployment YAMLs to start from; `convert MODEL.onnx --preset NAME` fills one in."""


@command.command("list")
def list_presets() -> None:
    """Print the names of the presets, and what each is for."""
    from hexconv.mace.deployment_file import presets

    found = {name: _about(path.read_text(encoding="utf-8")) for name, path in presets().items()}
    rows = [(name, texts[language() == "zh"]) for name, texts in found.items()]
    table(["preset", "purpose"], rows, prose=True)


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a preset: hexconv preset show NAME > my.yml."""
    from hexconv.mace.deployment_file import preset

    click.echo(preset(name).read_text(encoding="utf-8"), nl=False)


def _about(text: str) -> tuple[str, str]:
    """The first paragraphs of the comment at the top: English, Chinese."""
    lines = [line.removeprefix("#").strip() for line in text.split("\n\n")[0].split("\n")]
    english, chinese = " ".join(line or "\n" for line in lines).split("\n")[:2]
    return english.strip(), chinese.strip().replace("， ", "，").replace("。 ", "。")
