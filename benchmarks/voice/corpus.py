"""Speaks the sentences of texts.txt with espeak-ng: the whole corpus of the small voice.

    python benchmarks/voice/corpus.py OUT all|deep

Each training sentence is spoken by four voices, each held-out sentence by two; which voices, and
how fast and how high each speaks, follows from the sentence's number alone. espeak-ng (Debian
package espeak-ng, 1.51) writes 22,050 Hz mono of 16 bits. Writes OUT/train/*.wav, OUT/held/*.wav.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PINYIN = "cmn-latn-pinyin"
"""Mandarin by pinyin: the plain `cmn` of 1.51 reads tone numbers aloud."""

VOICES = {
    "all": {
        "en": ("en-us", "en-gb", "en-us+f2", "en-us+m3", "en-gb+f4", "en-us+m7", "en-us+f5"),
        "zh": tuple(PINYIN + kind for kind in ("", "+f2", "+m3", "+f4", "+m7")),
    },
    "deep": {
        "en": ("en-us", "en-gb", "en-us+m3", "en-gb+m1", "en-us+m7"),
        "zh": tuple(PINYIN + kind for kind in ("", "+m3", "+m1", "+m7")),
    },
}

SPEEDS = (130, 150, 165, 180)
"""Words a minute (espeak-ng -s)."""

PITCHES = {"all": (30, 45, 60, 75), "deep": (20, 35, 45, 55)}
"""espeak-ng -p, 0 to 99; the voice's own range around it."""

TAKES = {"train": 4, "held": 2}


@dataclass(frozen=True)
class Take:
    """One sentence as one voice speaks it."""

    part: str
    name: str
    voice: str
    speed: int
    pitch: int
    text: str


def takes(texts: Path, kind: str) -> Iterator[Take]:
    """Every take of the corpus of `kind`, in the order of texts.txt."""
    lines = [line for line in texts.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    for number, line in enumerate(lines):
        *held, language, text = line.split("\t")
        part = "held" if held else "train"
        voices, pitches = VOICES[kind][language], PITCHES[kind]
        for take in range(TAKES[part]):
            turn = number + take * 2
            yield Take(
                part,
                f"{number:03d}_{take}",
                voices[turn % len(voices)],
                SPEEDS[(number * 3 + take) % len(SPEEDS)],
                pitches[(number + take * 3) % len(pitches)],
                text,
            )


def speak(take: Take, folder: Path) -> Path:
    """Runs espeak-ng for one take; the path of its wav."""
    path = folder / take.part / f"{take.name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["espeak-ng", "-v", take.voice, "-s", str(take.speed), "-p", str(take.pitch)]
    subprocess.run([*command, "-w", str(path), take.text], check=True)
    return path


def main(folder: Path, kind: str) -> None:
    """Speaks the whole corpus into `folder`."""
    spoken = [speak(take, folder) for take in takes(Path(__file__).with_name("texts.txt"), kind)]
    print(f"{len(spoken)} takes in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
