"""Writes docs/measurements/methods.md."""
