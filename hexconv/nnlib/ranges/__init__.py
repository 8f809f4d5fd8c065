"""Ranges in a graph: what the library gives each tensor, and what its readers take it for."""
