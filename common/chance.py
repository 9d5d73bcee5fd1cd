"""Random generators that depend on what is drawn and on nothing else."""

from __future__ import annotations

import hashlib

import numpy as np


def _encode(part: bytes | str | int) -> bytes:
    """Return a part with its type and length in front, so that no two lists of parts read alike."""
    if isinstance(part, bytes):
        tag, body = b"b", part
    elif isinstance(part, str):
        tag, body = b"s", part.encode("utf-8", "surrogateescape")
    else:
        tag, body = b"i", str(int(part)).encode("ascii")
    return tag + len(body).to_bytes(8, "big") + body


def seed_for(seed: int, rel_path: bytes, *key: str | int) -> int:
    """Return the 128-bit seed of one purpose on one image; arguments as in `rng_for`."""
    return int.from_bytes(_digest(seed, rel_path, *key), "big")


def _digest(*parts: bytes | str | int) -> bytes:
    return hashlib.blake2b(b"".join([_encode(part) for part in parts]), digest_size=16).digest()


def rng_for(seed: int, rel_path: bytes, *key: str | int) -> np.random.Generator:
    """Return the generator of one purpose on one image: the same on every machine, worker and retry.

    Args:
        seed: the job's seed, any integer.
        rel_path: the image's path from its root, POSIX bytes.
        key: what the numbers are for, such as `"texture", variant, face_index`; the order counts.
    """
    # PCG64 is named, not left to `default_rng`, whose choice may change with a NumPy release.
    # Words, the lowest first, are the same seed as the number, and read in two thirds of the time.
    words = np.frombuffer(_digest(seed, rel_path, *key)[::-1], dtype="<u4").astype(np.uint32, copy=False)
    return np.random.Generator(np.random.PCG64(words))
