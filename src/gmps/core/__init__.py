"""The mathematics, pure JAX: policies, losses, adaptation and its gradient. No input or output."""
