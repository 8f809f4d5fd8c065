"""Forked processes of tests: as many as are needed, each with everything imported already."""

from __future__ import annotations

import os
import warnings


def fork() -> int:
    """The id of the new process; 0 in it, which has to end in `os._exit`.

    Python 3.12 warns where there are threads. Here those are the idle ones of NumPy and ONNX
    Runtime, which hold no lock that the new process could wait for.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded.*", DeprecationWarning)
        return os.fork()
