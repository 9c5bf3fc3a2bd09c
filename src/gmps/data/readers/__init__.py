"""Readers of other people's files. They run in a process of their own, and import no JAX."""
