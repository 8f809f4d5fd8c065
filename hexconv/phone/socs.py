"""Which library a phone takes: by the number of its SoC, by name, or by version."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hexconv import resources
from hexconv.errors import ConfigError
from hexconv.names import did_you_mean
from hexconv.nnlib.versions import LIBRARIES, LibraryVersion

AUTO = "auto"


@dataclass(frozen=True)
class PhoneSoc:
    """A phone's processor.

    Attributes:
        label: for messages.
        library: that MACE pushes for it.
    """

    label: str
    library: LibraryVersion


def by_number(number: int) -> PhoneSoc:
    """The SoC of a number in /sys/devices/soc0/soc_id.

    Raises:
        ConfigError: MACE has no library for it, or does not know it.
    """
    entries = resources.Entries(resources.folder("op_tables") / "phones")
    entry = entries.get(f"soc_{number}")
    if entry is None:
        raise ConfigError(
            f"the phone's SoC has the number {number}, which is not in MACE's table",
            hint="if you know its Hexagon version, say it: --soc v60, v65 or v66",
        )
    label = entry.get("name", f"SoC {number}")
    if entry["library"] == "none":
        raise ConfigError(
            f"MACE's table has no Hexagon NN library for the {label}",
            why=f"its SoC has the number {number}; the libraries are for v60, v65 and v66",
            hint="if its DSP is one of these, say so: --soc v60, v65 or v66",
        )
    return PhoneSoc(label, entry["library"])


def by_name(text: str) -> PhoneSoc:
    """The SoC that a user names: v66, sd855 or the number 339.

    Raises:
        ConfigError: it is not known.
    """
    wanted = text.strip().lower()
    if wanted in LIBRARIES:
        return PhoneSoc(wanted, wanted)
    if wanted.isdigit():
        return by_number(int(wanted))
    names = _names()
    if wanted in names:
        return names[wanted]
    known = [*LIBRARIES, *sorted(names)]
    raise ConfigError(
        f"the SoC '{text}' is not known",
        hint=f"{did_you_mean(wanted, known)}use {', '.join(known)}, or auto with a phone",
    )


def _names() -> dict[str, PhoneSoc]:
    """SoCs by a short name: Snapdragon 855 is sd855."""
    entries = resources.Entries(resources.folder("op_tables") / "phones")
    found = {}
    for entry in entries.values():
        short = re.fullmatch(r"Snapdragon (\d+G?)", entry.get("name", ""))
        if short and entry["library"] != "none":
            found[f"sd{short[1].lower()}"] = PhoneSoc(entry["name"], entry["library"])
    return found
