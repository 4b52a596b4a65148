"""Hash noise in integers: what makes a market out of a seed.

Only integer arithmetic, so that every platform and every version of Python sees the same market.
"""

from functools import lru_cache
from hashlib import blake2b
from math import isqrt
from typing import Final

#: Fixed point: this is 1.0.
ONE: Final = 1 << 30

#: Octaves of one minute, two minutes, … up to about three months. Each has √2 times the amplitude of the one before,
#: so that moves grow with the square root of time, as those of a market do.
OCTAVES: Final = 18
_AMPLITUDES: Final = tuple(isqrt(1 << (20 + octave)) for octave in range(OCTAVES))
_AMPLITUDE_SUM: Final = sum(_AMPLITUDES)
#: Octaves shorter than about an hour are louder in some hours than in others.
_BURSTY_OCTAVES: Final = 6
_BURST_MINUTES: Final = 160

_MASK: Final = (1 << 64) - 1


@lru_cache(maxsize=16_384)
def key_of(seed: int, name: str) -> int:
    """A 64-bit key for one independent stream of noise."""
    return int.from_bytes(blake2b(f"{seed}|{name}".encode(), digest_size=8).digest(), "big")


def draw(key: int, position: int, salt: int = 0) -> int:
    """A uniform draw from 0 to 2^32 - 1; the same for the same arguments, for ever.

    The finalizer of SplitMix64 (Steele, Lea, Flood, 2014), whose output passes the usual tests of randomness.
    """
    x = (key + position * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) & _MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & _MASK
    return (x ^ x >> 31) >> 32


@lru_cache(maxsize=262_144)
def drift(key: int, minute: int) -> int:
    """A random walk that stays within about ±`ONE`: smooth over months, rough over minutes.

    Args:
        key: From `key_of`.
        minute: Unix time in minutes.
    """
    loudness = volatility(key, minute)
    total = 0
    for octave, amplitude in enumerate(_AMPLITUDES):
        level = _smooth(key, minute, 1 << octave, octave)
        if octave < _BURSTY_OCTAVES:
            level = level * loudness // ONE
        total += level * amplitude
    return total // _AMPLITUDE_SUM


@lru_cache(maxsize=65_536)
def volatility(key: int, minute: int) -> int:
    """How lively a minute is: `ONE` / 4 to about 9/4 `ONE`, changing over hours."""
    return ONE * 5 // 4 + _smooth(key, minute, _BURST_MINUTES, OCTAVES)


def _smooth(key: int, minute: int, period: int, salt: int) -> int:
    """Noise from -`ONE` to `ONE`, random each ``period`` minutes and smooth in between."""
    cell, within = divmod(minute, period)
    left = _lattice(key, cell, salt)
    if within == 0:
        return left
    fraction = within * ONE // period
    # 3t² - 2t³: flat at both ends, so that the curve has no corners.
    eased = fraction * fraction // ONE * (3 * ONE - 2 * fraction) // ONE
    return left + (_lattice(key, cell + 1, salt) - left) * eased // ONE


@lru_cache(maxsize=65_536)
def _lattice(key: int, cell: int, salt: int) -> int:
    return (draw(key, cell, salt) >> 1) - ONE
