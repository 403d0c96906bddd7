"""The random bits of stochastic rounding, as specified; NumPy, the reference of the compiled path.

Counter layout. Elements are taken in groups so that a vector unit needs no shuffles: with 32 random bits
per element a group is 64 elements and 16 Philox blocks; element ``64 g + 16 w + l`` takes word `w` of
block ``16 g + l``. With 16 bits a group is 128 elements; element ``128 g + 32 w + 16 h + l`` takes half `h`
(0 is the low one) of word `w` of block ``16 g + l``. Block `b` is Philox of the counter
``(b mod 2**32, b div 2**32, tensor, step)`` under the key ``(seed mod 2**32, seed div 2**32)``.

The serial generators (LFSR, XORWOW) run in lanes of `LANE` consecutive elements, one 32-bit word each; the
state of a lane is seeded by Philox4x32-10 blocks whose block number is the lane's, so that they too can
start anywhere. How real chips seed them is not published.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anychip.formats.rounding import Stochastic

Words = NDArray[np.uint32]

#: Elements of one lane of a serial generator.
LANE = 1024
#: Feedback of the 32-bit maximal-length LFSR: taps 32, 22, 2, 1.
LFSR_TAPS = 0x80200003

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox4x32(counter: Words, key: tuple[int, int], rounds: int = 10) -> Words:
    """Philox4x32 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).

    Args:
        counter: ``[..., 4]`` words.
        key: two words.
        rounds: 7 is the fewest that pass BigCrush, 10 the authors' default.

    Returns:
        ``[..., 4]`` random words.
    """
    c0, c1, c2, c3 = (counter[..., i].astype(np.uint64) for i in range(4))
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (
            (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def _blocks(rounding: Stochastic, numbers: NDArray[np.uint64], rounds: int) -> Words:
    counter = np.empty((*numbers.shape, 4), np.uint32)
    counter[..., 0] = (numbers & _LOW).astype(np.uint32)
    counter[..., 1] = (numbers >> _SHIFT).astype(np.uint32)
    counter[..., 2] = rounding.tensor
    counter[..., 3] = rounding.step
    return philox4x32(counter, (rounding.seed & 0xFFFFFFFF, rounding.seed >> 32), rounds)


def _counted(rounding: Stochastic, first: int, count: int, word_bits: int, rounds: int) -> Words:
    group = 64 * (32 // word_bits)
    first_group, last_group = first // group, (first + count - 1) // group
    numbers = np.arange(first_group * 16, (last_group + 1) * 16, dtype=np.uint64).reshape(-1, 16)
    words = _blocks(rounding, numbers, rounds).transpose(0, 2, 1)  # [group, word, lane]
    if word_bits == 16:
        words = np.stack([words & np.uint32(0xFFFF), words >> np.uint32(16)], axis=2)
    return words.reshape(-1)[first - first_group * group :][:count]


def _serial(rounding: Stochastic, first: int, count: int) -> Words:
    lanes = np.arange(first // LANE, (first + count - 1) // LANE + 1, dtype=np.uint64)
    words = np.empty((len(lanes), LANE), np.uint32)
    if rounding.generator == "lfsr":
        state = _blocks(rounding, lanes, 10)[:, 0]
        state = np.where(state == 0, np.uint32(1), state)
        for i in range(LANE):
            # 32 shifts a word: all bits of a word are fresh.
            for _ in range(32):
                state = (state >> np.uint32(1)) ^ np.where(
                    state & np.uint32(1), np.uint32(LFSR_TAPS), np.uint32(0)
                )
            words[:, i] = state
    else:
        seeds = _blocks(rounding, lanes[:, None] * np.uint64(2) + np.arange(2, dtype=np.uint64), 10)
        x, y, z, w, v, d = (seeds.reshape(len(lanes), 8)[:, i].copy() for i in range(6))
        x |= np.uint32(1)  # the xorshift part must not be all zero
        for i in range(LANE):
            t = x ^ (x >> np.uint32(2))
            x, y, z, w = y, z, w, v
            v = (v ^ (v << np.uint32(4))) ^ (t ^ (t << np.uint32(1)))
            d = d + np.uint32(362437)
            words[:, i] = d + v
    return words.reshape(-1)[first % LANE :][:count]


def random_bits(rounding: Stochastic, count: int, word_bits: int) -> Words:
    """The random integers of `count` elements from ``rounding.element`` on, each ``rounding.bits`` wide.

    Args:
        rounding: generator and place.
        count: how many elements.
        word_bits: 16 or 32, how many bits of the generator an element is given; the highest are used.
    """
    if count == 0:
        return np.empty(0, np.uint32)
    if rounding.generator in ("lfsr", "xorwow"):
        words = _serial(rounding, rounding.element, count) >> np.uint32(32 - word_bits)
    else:
        rounds = 10 if rounding.generator == "philox4x32-10" else 7
        words = _counted(rounding, rounding.element, count, word_bits, rounds)
    used = rounding.bits or word_bits
    return words >> np.uint32(word_bits - used)
