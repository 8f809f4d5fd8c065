"""The real DSP library, under an emulator."""

from hexconv.device.library import Library
from hexconv.device.process import Limits

__all__ = ["Library", "Limits"]
