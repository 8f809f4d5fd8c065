"""Synthesize the sentences of texts.txt with espeak-ng: the whole corpus of the sample voice.

    python benchmarks/voice/corpus.py OUT natural|flat

`natural` has the melody that espeak-ng gives a sentence. `flat` has none: every voice stays on the
one pitch that is nearest 86.13 Hz, the frame rate (22,050 / 256), or its octave. docs/hifigan.md
explains why the voice is finished on that.

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
    "en": ("en-us", "en-gb", "en-us+f2", "en-us+m3", "en-gb+f4", "en-us+m7", "en-us+f5"),
    "zh": tuple(PINYIN + kind for kind in ("", "+f2", "+m3", "+f4", "+m7")),
}

SPEEDS = (130, 150, 165, 180)
"""Words a minute (espeak-ng -s)."""

NATURAL_PITCHES = (30, 45, 60, 75)
"""espeak-ng -p, 0 to 99; the voice's own range around it."""

FLAT_PITCHES = {"f2": 51, "f5": 45, "m3": 45, "m7": 46, "f4 zh": 56}
"""espeak-ng -p that puts a variant on 86 or 172 Hz (by librosa.yin, within 1 Hz)."""

FLAT_PITCH = 47
"""The same for all other voices."""

TAKES = {"train": 4, "held": 2}


@dataclass(frozen=True)
class Take:
    """One sentence as one voice speaks it."""

    part: str
    name: str
    voice: str
    speed: int
    pitch: int
    flat: bool
    text: str


def takes(texts: Path, kind: str) -> Iterator[Take]:
    """Every take of the corpus of `kind`, in the order of texts.txt."""
    lines = [line for line in texts.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    for number, line in enumerate(lines):
        *held, language, text = line.split("\t")
        part = "held" if held else "train"
        voices, flat = VOICES[language], kind == "flat"
        for take in range(TAKES[part]):
            voice = voices[(number + take * 2) % len(voices)]
            melodic = NATURAL_PITCHES[(number + take * 3) % len(NATURAL_PITCHES)]
            variant = voice.partition("+")[2]
            level = FLAT_PITCHES.get(f"{variant} {language}", FLAT_PITCHES.get(variant, FLAT_PITCH))
            speed = SPEEDS[(number * 3 + take) % len(SPEEDS)]
            name = f"{number:03d}_{take}"
            yield Take(part, name, voice, speed, level if flat else melodic, flat, text)


def speak(take: Take, folder: Path) -> Path:
    """Runs espeak-ng for one take; the path of its wav."""
    path = folder / take.part / f"{take.name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["espeak-ng", "-v", take.voice, "-s", str(take.speed), "-p", str(take.pitch)]
    text = take.text
    if take.flat:  # SSML: only there can the range around the pitch be closed
        command.append("-m")
        text = f'<speak><prosody range="0%">{text}</prosody></speak>'
    subprocess.run([*command, "-w", str(path), text], check=True)
    return path


def main(folder: Path, kind: str) -> None:
    """Speaks the whole corpus into `folder`."""
    spoken = [speak(take, folder) for take in takes(Path(__file__).with_name("texts.txt"), kind)]
    print(f"{len(spoken)} takes in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
