"""A small causal transformer, for one sequence; callers `vmap` over batches.

Pre-norm blocks of multi-head attention and a two-layer network (Vaswani et al. 2017, section 3;
Xiong et al. 2020), normalised by the root mean square (Zhang and Sennrich 2019).
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

#: Added to a mean square before its root.
_TINY = 1e-6


class Block(NamedTuple):
    """The weights of one block; `d` is the width."""

    #: Gains of the two normalisations.
    gains: Float[Array, "2 d"]
    #: To queries, keys and values.
    attend: Float[Array, "d 3d"]
    #: From what the heads found.
    mix: Float[Array, "d d"]
    widen: Float[Array, "d 2d"]
    narrow: Float[Array, "2d d"]


class Transformer(eqx.Module):
    """From a sequence to what is known at each place of it, which depends on nothing behind it."""

    blocks: tuple[Block, ...]
    gain: Float[Array, " d"]
    heads: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The sequence after all blocks, normalised."""
        for block in self.blocks:
            x = x + _attention(_normalised(x, block.gains[0]), block, self.heads)
            hidden = jax.nn.gelu(_normalised(x, block.gains[1]) @ block.widen)
            x = x + hidden @ block.narrow
        return _normalised(x, self.gain)


def init_transformer(key: Key[Array, ""], width: int, heads: int, layers: int) -> Transformer:
    """Xavier-uniform weights; what blocks add is scaled down with their number.

    `heads` must divide `width`.
    """
    init, share = jax.nn.initializers.glorot_uniform(), (2 * layers) ** -0.5

    def block(key: Key[Array, ""]) -> Block:
        shapes = ((width, 3 * width), (width, width), (width, 2 * width), (2 * width, width))
        attend, mix, widen, narrow = (
            init(k, shape, jnp.float32)
            for k, shape in zip(jax.random.split(key, 4), shapes, strict=True)
        )
        return Block(jnp.ones((2, width), jnp.float32), attend, share * mix, widen, share * narrow)

    blocks = tuple(block(k) for k in jax.random.split(key, layers))
    return Transformer(blocks, jnp.ones(width, jnp.float32), heads)


def _normalised(x: Float[Array, "n d"], gain: Float[Array, " d"]) -> Float[Array, "n d"]:
    return gain * x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + _TINY)


def _attention(x: Float[Array, "n d"], block: Block, heads: int) -> Float[Array, "n d"]:
    n, width = x.shape
    size = width // heads
    query, key, value = (x @ block.attend).reshape(n, 3, heads, size).transpose(1, 2, 0, 3)
    score = query @ key.transpose(0, 2, 1) / size**0.5
    seen = jnp.tril(jnp.ones((n, n), bool))
    weight = jax.nn.softmax(jnp.where(seen, score, -jnp.inf), -1)
    return (weight @ value).transpose(1, 0, 2).reshape(n, width) @ block.mix
