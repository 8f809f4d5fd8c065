"""Ranges of single channels, kept beside those of tensors: a range file gives the same model."""

from __future__ import annotations

CHANNEL = "/channel/"


def entry(tensor: str, channel: int | str) -> str:
    """The name of the range of one channel, or of what others of the tensor have in common."""
    return f"{tensor}{CHANNEL}{channel}"


def is_channel(name: str) -> bool:
    """Whether a range is that of a channel, and not of a tensor."""
    return CHANNEL in name
