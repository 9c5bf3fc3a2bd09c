"""Simulators: batches of worlds, stepped together."""
