"""MACE's builds its messages with a compiler when it is imported."""

raise RuntimeError("the messages would be built here")
