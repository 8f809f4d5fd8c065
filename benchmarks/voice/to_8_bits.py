"""Finishes a trained voice for the DSP: the last training steps include the 8-bit rounding.

    python benchmarks/voice/to_8_bits.py CORPUS RUN --steps 2600 --peak 8e-4 --sameness 1.5

Reads RUN/voice.npz (train.py) and trains its plain weights, without weight norm, on three things:
that the voice is like the recordings, that its 8-bit form is (rounded.py), and that both have the
same mel. The learning rate is train.py's, a warm-up and half a cosine. The result is a running mean
of the weights, in RUN/voice8.npz as float16; RUN/last8.pt is written beside it and taken up again.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from losses import SpectralDistance
from rounded import Rounded
from train import SAVE_EVERY, batch, load_corpus, rate

from hexconv.models import hifigan, layers, mel
from hexconv.models.voice import CONFIG

KEEP = 0.998
CREST = 0.03
"""Weight of the mean crest of the tensors (rounded.py)."""
FIRST_BATCH = 1_000_000
"""Batches are train.py's, numbered on from here."""

Corpus = list[tuple[np.ndarray, np.ndarray]]


class Training:
    """A voice, its running mean, its 8 bits, and the optimizer."""

    def __init__(self, weights: Path, sameness: float) -> None:
        torch.manual_seed(0)
        self.generator = hifigan.from_weights(CONFIG, layers.read_npz(CONFIG, weights)).train()
        self.mean = copy.deepcopy(self.generator).requires_grad_(False)
        self.rounded = Rounded(self.generator).train()
        self.distance = SpectralDistance(CONFIG)
        self.steps = torch.optim.AdamW(self.generator.parameters(), betas=(0.8, 0.99))
        self.sameness = sameness

    def parts(self) -> dict[str, Any]:
        """Everything that has state, by name."""
        return {name: getattr(self, name) for name in ("generator", "mean", "rounded", "steps")}

    def step(self, mels: Any, waves: Any, number: int, learning_rate: float) -> dict[str, float]:
        """One step; the losses by name."""
        for group in self.steps.param_groups:
            group["lr"] = learning_rate
        made, heard = self.generator(mels).squeeze(1), self.rounded(mels).squeeze(1)
        losses = {
            "voice": 0.5 * sum(self.distance(made, waves)),
            "8 bits": 0.5 * sum(self.distance(heard, waves)),
            "sameness": self.sameness
            * (self.distance.mel(made) - self.distance.mel(heard)).abs().mean(),
            "crest": CREST * self.rounded.crest(),
        }
        self.steps.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 10.0)
        self.steps.step()
        with torch.no_grad():
            ours = zip(self.mean.parameters(), self.generator.parameters(), strict=True)
            for kept, now in ours:
                kept.lerp_(now, 1 - min(KEEP, 1 - 1 / (number + 2)))
        return {name: round(loss.item(), 4) for name, loss in losses.items()}

    def held(self, corpus: Corpus) -> dict[str, float]:
        """Of the mean, over whole held-out waves: mel distances from the recordings, and SNR."""
        rounded = Rounded(self.mean).train()
        mels = [torch.from_numpy(spectrum)[None] for _, spectrum in corpus]
        rows = []
        with torch.no_grad():
            for spectrum in mels:
                rounded(spectrum)
            rounded.eval()
            for spectrum, (wave, _) in zip(mels, corpus, strict=True):
                made, heard = self.mean(spectrum)[0, 0].numpy(), rounded(spectrum)[0, 0].numpy()
                spoken, true, returned = (mel.log_mel(x, CONFIG) for x in (made, wave, heard))
                noise = np.square(heard - made).sum() / np.square(made).sum()
                rows.append(
                    (
                        np.abs(spoken - true).mean(),
                        np.abs(returned - true).mean(),
                        np.abs(returned - spoken).mean(),
                        -10 * np.log10(noise),
                    )
                )
        names = ("held voice", "held 8 bits", "held sameness", "held SNR")
        means = np.mean(rows, axis=0)
        return {name: round(float(value), 4) for name, value in zip(names, means, strict=True)}


def main() -> None:
    """Trains, taking up RUN/last8.pt where it was left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", required=True, type=int)
    parser.add_argument("--peak", required=True, type=float)
    parser.add_argument("--sameness", required=True, type=float, help="weight of that distance")
    options = parser.parse_args()
    torch.set_num_threads(1)
    training, now = Training(options.run / "voice.npz", options.sameness), 0
    last = options.run / "last8.pt"
    if last.exists():
        saved = torch.load(last, weights_only=True)
        now = saved.pop("step")
        for name, part in training.parts().items():
            part.load_state_dict(saved[name])
    corpus = load_corpus(options.corpus / "train")
    held = load_corpus(options.corpus / "held")[::4]
    began, first = time.monotonic(), now
    for step in range(now, options.steps):
        learning_rate = rate(step, 0, options.steps, options.peak)
        losses = training.step(*batch(corpus, FIRST_BATCH + step), step, learning_rate)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == options.steps:
            seconds = (time.monotonic() - began) / (step + 1 - first)
            figures = {"step": step + 1, "s/step": round(seconds, 2), **training.held(held)}
            print(json.dumps(figures | losses), flush=True)
            states = {name: part.state_dict() for name, part in training.parts().items()}
            torch.save({"step": step + 1, **states}, last)
            weights = hifigan.weights_of(training.mean)
            kept = {name: value.astype(np.float16) for name, value in weights.items()}
            np.savez(options.run / "voice8.npz", **kept)


if __name__ == "__main__":
    main()
