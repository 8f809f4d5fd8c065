"""A package sh of version 2: commands return strings, unless it was told otherwise."""

import sys

__version__ = "2.4.0"


class Command(str):
    """What a command of version 1 returns."""

    stdout = b"List of devices attached\n"


class Baked:
    """The module, told to return commands."""

    __version__ = "2.4.0"

    def bake(self, _return_cmd):
        return self

    def __getattr__(self, name):
        return lambda *args: Command("")


def bake(_return_cmd):
    return Baked() if _return_cmd else sys.modules[__name__]


def __getattr__(name):
    return lambda *args: ""
