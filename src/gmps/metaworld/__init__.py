"""Meta-World, an extra: its tasks as families, stepped in batch, its experts and its evaluation."""
