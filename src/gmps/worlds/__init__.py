"""Worlds: where actors meet tasks."""
