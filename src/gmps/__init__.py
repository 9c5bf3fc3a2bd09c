"""Guided Meta-Policy Search: meta-train from experts, adapt in one policy-gradient step."""

__version__ = "0.1.0"
