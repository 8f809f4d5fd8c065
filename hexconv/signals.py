"""The signals that ask a process to end."""

from __future__ import annotations

import signal

ENDING = [s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP")]
"""Windows has no SIGHUP."""
