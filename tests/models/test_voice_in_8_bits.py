"""The sample voice on the DSP: 8 bits are hardly audible, as it was trained for them."""

import numpy as np
import pytest

from hexconv.models import fidelity, voice
from hexconv.models.vocoder import small_voice, speak

CHUNK = 64
SPECTRA = {name: spectrum[:, :, 40 : 40 + CHUNK] for name, spectrum in voice.mels().items()}


@pytest.fixture(scope="module")
def vocoder():
    """It converts the voice once for all tests."""
    return small_voice()


@pytest.mark.parametrize("name", SPECTRA)
def test_int8_stays_near_the_float_voice(vocoder, name):
    waves = [speak(backend, vocoder, SPECTRA[name]).wave for backend in ("onnx", "simulate")]
    found = fidelity.compare(*waves, voice.CONFIG)
    # The floor; docs/hifigan.md has the figures of whole sentences.
    assert found.mel_l1 < 0.15 and found.snr > 25


def test_training_rounds_as_the_dsp_does(vocoder):
    torch = pytest.importorskip("torch")
    from benchmarks.voice.rounded import Rounded
    from hexconv.models import hifigan

    generator = hifigan.from_weights(voice.CONFIG, voice.weights())
    rounded = Rounded(generator).train()
    spectrum = next(iter(SPECTRA.values()))
    with torch.no_grad():
        for other in voice.mels().values():  # the calibration set of the simulated voice
            rounded(torch.from_numpy(other))
        returned = rounded.eval()(torch.from_numpy(spectrum))[0, 0].numpy()
    plain = hifigan.run(generator, np.ascontiguousarray(spectrum)).ravel()
    simulated = speak("simulate", vocoder, spectrum).wave
    noise = fidelity.snr(plain, returned), fidelity.snr(plain, simulated)
    assert abs(noise[0] - noise[1]) < 1.5
