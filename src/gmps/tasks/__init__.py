"""Task families and their registry."""
