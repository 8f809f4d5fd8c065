"""Damaged files of every format that hexconv reads: one clear error, or a result. Never more."""
