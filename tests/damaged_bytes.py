"""Bytes as accidents and enemies leave them."""

import random


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, overwrite, cut out, repeat, cut off, change a digit, or put in what parsers fear.

    The result differs from `data`, or is equal where the change happened to change nothing.
    """
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        at, size = rng.randrange(len(out) + 1), rng.choice([1, 2, 4, 8])
        kind = rng.randrange(8)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            out[at : at + size] = rng.choice([b"\xff", b"\0", b"9", b"\x7f"]) * size
        elif kind == 3:
            del out[at : at + rng.choice([size, 1000])]
        elif kind == 4:
            out[at:at] = out[at : at + rng.choice([size, 100])]
        elif kind == 5:
            out[at:at] = rng.choice([b"[" * 50_000, b'{"a":' * 20_000, b"NaN", b"1e999", b'"\\u'])
        elif kind == 6:
            del out[at:]
        else:
            digits = [i for i, c in enumerate(out) if 48 <= c < 58]
            if digits:
                out[rng.choice(digits)] = rng.choice(b"0123456789")
    return bytes(out)
