"""Train the sample voice on the corpus of corpus.py.

    python benchmarks/voice/train.py CORPUS RUN --stage FIRST:LAST --peak RATE [--judged]

Each call trains one stage, from step FIRST to step LAST: spectral losses, and with --judged the
discriminators. The learning rate climbs to RATE and falls along half a cosine to a hundredth of it.
The result is a running mean of the weights. RUN/last.pt is written every 200 steps and taken up
again when it exists; RUN/voice.npz holds float16 weights. recipe.sh has the stages of the voice.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from losses import Judges, SpectralDistance

from hexconv.models import hifigan, layers, mel
from hexconv.models.voice import CONFIG

FRAMES = 32
BATCH = 8
WARM_UP = 100
KEEP = 0.999
SAVE_EVERY = 200


def load_corpus(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every wav of a folder as (wave (T,), log-mel (80, T//256)), peak at 0.95 of full scale."""
    pairs = []
    for path in sorted(folder.glob("*.wav")):
        wave = soundfile.read(path, dtype="float32")[0]
        wave = (wave / np.abs(wave).max() * 0.95).astype(np.float32)
        frames = mel.frame_count(len(wave), CONFIG)
        pairs.append((wave[: frames * CONFIG.hop_size], mel.log_mel(wave, CONFIG)[0]))
    return pairs


def batch(corpus: list[tuple[np.ndarray, np.ndarray]], step: int) -> tuple[Any, Any]:
    """BATCH segments of FRAMES frames: mels (N,80,FRAMES) and waves (N,T); `step` decides which."""
    draw = np.random.default_rng((1, step))
    lengths = np.array([spectrum.shape[1] for _, spectrum in corpus], float)
    mels, waves = [], []
    for index in draw.choice(len(corpus), BATCH, p=lengths / lengths.sum()):
        wave, spectrum = corpus[index]
        start = draw.integers(0, spectrum.shape[1] - FRAMES + 1)
        mels.append(spectrum[:, start : start + FRAMES])
        first = start * CONFIG.hop_size
        waves.append(wave[first : first + FRAMES * CONFIG.hop_size])
    return torch.from_numpy(np.stack(mels)), torch.from_numpy(np.stack(waves))


def rate(step: int, first: int, last: int, peak: float) -> float:
    """Learning rate at a step of the stage [first, last): a warm-up, then half a cosine."""
    along = (step - first) / (last - first)
    return (
        peak * min(1.0, (step - first + 1) / WARM_UP) * (0.505 + 0.495 * math.cos(math.pi * along))
    )


class Training:
    """Generator, its running mean, discriminators, and both optimizers."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.generator = hifigan.with_weight_norm(
            hifigan.from_weights(CONFIG, layers.seeded(CONFIG))
        ).train()
        self.mean = copy.deepcopy(self.generator).requires_grad_(False)
        self.judges = Judges()
        self.distance = SpectralDistance(CONFIG)
        betas = (0.8, 0.99)
        self.steps = torch.optim.AdamW(self.generator.parameters(), betas=betas)
        self.judge_steps = torch.optim.AdamW(self.judges.parameters(), betas=betas)

    def parts(self) -> dict[str, Any]:
        """Everything that has state, by name."""
        names = ("generator", "mean", "judges", "steps", "judge_steps")
        return {name: getattr(self, name) for name in names}

    def step(self, mels: Any, waves: Any, learning_rate: float, judged: bool) -> dict[str, float]:
        """One step; the losses by name."""
        for optimizer in (self.steps, self.judge_steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        made = self.generator(mels).squeeze(1)
        losses = {}
        if judged:
            judge_loss = self.judges.own_loss(made.detach(), waves)
            self.judge_steps.zero_grad()
            judge_loss.backward()
            self.judge_steps.step()
            losses["judge"] = judge_loss.item()
        mel_distance, stft = self.distance(made, waves)
        total = mel_distance + stft
        losses |= {"mel": mel_distance.item(), "stft": stft.item()}
        if judged:
            self.judges.requires_grad_(False)
            adversarial, matching = self.judges.generator_loss(made, waves)
            self.judges.requires_grad_(True)
            total = total + 0.15 * adversarial + 1.0 * matching
            losses |= {"adversarial": adversarial.item(), "matching": matching.item()}
        self.steps.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 10.0)
        self.steps.step()
        self._keep_mean()
        return losses

    def _keep_mean(self) -> None:
        with torch.no_grad():
            ours = zip(self.mean.parameters(), self.generator.parameters(), strict=True)
            for kept, now in ours:
                kept.lerp_(now, 1 - KEEP)

    def held_distance(self, corpus: list[tuple[np.ndarray, np.ndarray]]) -> float:
        """Mel distance of the mean generator over whole held-out waves."""
        with torch.no_grad():
            distances = [
                self.distance(
                    self.mean(torch.from_numpy(spectrum)[None])[0], torch.from_numpy(wave)[None]
                )[0]
                for wave, spectrum in corpus
            ]
        return float(torch.stack(distances).mean())


def save_weights(training: Training, path: Path) -> None:
    """The mean generator's plain weights as float16 .npz."""
    weights = hifigan.weights_of(training.mean)
    np.savez(path, **{name: value.astype(np.float16) for name, value in weights.items()})


def main() -> None:
    """Trains, taking up RUN/last.pt where it was left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--stage", required=True, metavar="FIRST:LAST")
    parser.add_argument("--peak", required=True, type=float)
    parser.add_argument("--judged", action="store_true")
    parser.add_argument("--stop", type=int, help="leave the stage before its end")
    options = parser.parse_args()
    first, end = (int(part) for part in options.stage.split(":"))
    torch.set_num_threads(1)
    options.run.mkdir(parents=True, exist_ok=True)
    training, now, last = Training(), first, options.run / "last.pt"
    if last.exists():
        saved = torch.load(last, weights_only=True)
        now = saved.pop("step")
        for name, part in training.parts().items():
            part.load_state_dict(saved[name])
    corpus = load_corpus(options.corpus / "train")
    held = load_corpus(options.corpus / "held")[::4]
    began = time.monotonic()
    stop = options.stop or end
    for step in range(now, stop):
        learning_rate = rate(step, first, end, options.peak)
        losses = training.step(*batch(corpus, step), learning_rate, options.judged)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == stop:
            seconds = (time.monotonic() - began) / (step + 1 - now)
            figures = {"step": step + 1, "held": training.held_distance(held), "s/step": seconds}
            print(json.dumps({k: round(v, 4) for k, v in (figures | losses).items()}), flush=True)
            states = {name: part.state_dict() for name, part in training.parts().items()}
            torch.save({"step": step + 1, **states}, last)
            save_weights(training, options.run / "voice.npz")


if __name__ == "__main__":
    main()
