"""Tuned settings of sparse-point-wide: those of sparse-point."""

from gmps.presets.sparse_point import PRESET

__all__ = ["PRESET"]
