"""Experts: what labels states, and the data they leave."""
