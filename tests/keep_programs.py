"""Imported before JAX: compiled programs are kept, by all workers and from run to run."""

from gmps.compile_cache import keep_compiled_programs

keep_compiled_programs()
