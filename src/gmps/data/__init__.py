"""Demonstrations: reading, checking, writing, and the set that the outer loop imitates."""
