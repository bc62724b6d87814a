"""Exact answers, by integers alone.

An array is a block repeated. So the integers of the block give those of the
whole, and Python's big integers need only see a few numbers of each exponent.
"""

from __future__ import annotations

import math
from fractions import Fraction
from operator import mul

import numpy as np

from common import value_of

# float64 is a multiple of 2 to this; a product of two, of twice that.
UNIT = -1074
LOW = (1 << 32) - 1
WHATS = ("sum", "mean", "var", "std", "min", "argmin", "dot")


def answers(block: np.ndarray, other: np.ndarray, repeats: int) -> dict:
    """The exact answer of each operation, as a fraction or an integer."""
    total, squares = summed(block) * repeats, dotted(block, block) * repeats
    elements = len(block) * repeats
    place = int(np.argmin(order(block)))
    return {
        "sum": total,
        "mean": Fraction(total) / elements,
        "var": Fraction(squares) / elements - (Fraction(total) / elements) ** 2,
        "dot": dotted(block, other) * repeats,
        "min": block[place].item(),
        # The first of the equal ones lies in the first block.
        "argmin": place,
    }


def summed(block: np.ndarray):
    if block.dtype.kind == "i":
        return sum(block.tolist())
    sign, significand, shift = split(block)
    total = weighed(shift, [(sign, significand)])
    return Fraction(total) * Fraction(2) ** UNIT


def dotted(block: np.ndarray, other: np.ndarray):
    if block.dtype.kind == "i":
        return sum(map(mul, block.tolist(), other.tolist()))
    (sign_a, a, shift_a), (sign_b, b, shift_b) = split(block), split(other)
    # Halves of 27 and 26 bits, whose products fit 64 bits.
    (high_a, low_a), (high_b, low_b) = ((x >> 27, x & ((1 << 27) - 1)) for x in (a, b))
    sign, shift = sign_a * sign_b, shift_a + shift_b
    total = weighed(shift, [(sign, low_a * low_b)])
    total += weighed(shift, [(sign, high_a * low_b), (sign, low_a * high_b)]) << 27
    total += weighed(shift, [(sign, high_a * high_b)]) << 54
    return Fraction(total) * Fraction(2) ** (2 * UNIT)


def split(block: np.ndarray):
    """Sign, significand and shift of each element: their product is in units."""
    bits = block.astype(np.float64).view(np.int64)
    exponent = (bits >> 52) & 0x7FF
    hidden = (exponent > 0).astype(np.int64) << 52
    significand = (bits & ((1 << 52) - 1)) | hidden
    return np.where(bits < 0, -1, 1), significand, np.maximum(exponent, 1) - 1


def weighed(shift: np.ndarray, terms: list) -> int:
    """The sum of `sign * term << shift`."""
    # Halves of 32 bits: 2^31 of them fit 64 bits.
    halves = np.zeros((2, int(shift.max()) + 1), np.int64)
    for sign, term in terms:
        np.add.at(halves[0], shift, sign * (term & LOW))
        np.add.at(halves[1], shift, sign * (term >> 32))
    low, high = halves.tolist()
    return sum((a + (b << 32)) << place for place, (a, b) in enumerate(zip(low, high)))


def order(block: np.ndarray) -> np.ndarray:
    """Integers in the order of the elements, -0.0 below +0.0."""
    if block.dtype.kind == "i":
        return block
    bits = block.view(f"i{block.dtype.itemsize}")
    return np.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)


def nearest(exact: Fraction) -> float:
    """The float64 nearest to it: dividing integers, Python rounds once."""
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def is_nearest_root(root: float, square: Fraction) -> bool:
    """Whether a finite float64 is the nearest to a square root."""
    if not math.isfinite(root):
        return False
    below = (Fraction(root) + Fraction(float(np.nextafter(root, 0)))) / 2
    above = (Fraction(root) + Fraction(float(np.nextafter(root, math.inf)))) / 2
    return below**2 <= square <= above**2


def judge(what: str, found: dict, right: dict) -> tuple:
    """What the object of adsum says, and whether it is right to the last bit."""
    got = value_of(found)
    if what == "std":
        return got, is_nearest_root(got, right["var"])
    want = right[what]
    return got, got == (nearest(want) if isinstance(want, Fraction) else want)


def text(what: str, right: dict) -> str:
    """The right answer, to be read."""
    if what == "std":
        return f"the root of {nearest(right['var'])!r}"
    want = right[what]
    return repr(nearest(want) if isinstance(want, Fraction) else want)
