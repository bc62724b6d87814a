"""The data of run-gpu, and its exact answers, by the standard library alone.

Each data set is a block repeated, made by the generator that `adsum bench`
uses. So the integers of the block give the answers of the whole.
"""

from __future__ import annotations

from array import array
from fractions import Fraction
from pathlib import Path

BLOCK_BYTES = 4 << 20
CODES = {"float32": "f", "float64": "d", "int32": "i", "int64": "q"}
SIZES = {"float32": 4, "float64": 8, "int32": 4, "int64": 8}
MASK = (1 << 64) - 1
# Floats from 0 to 1 made of 53 random bits are multiples of this.
UNIT_BITS = 53


class Block:
    """Elements, a file of them, and what reducing them so many times must give."""

    def __init__(self, dtype: str, size_bytes: int, folder: Path):
        self.dtype = dtype
        self.repeats = max(1, size_bytes // BLOCK_BYTES)
        elements = array(CODES[dtype], block(dtype, BLOCK_BYTES // SIZES[dtype]))
        self.raw = elements.tobytes()
        self.path = folder / f"{dtype}.bin"
        self.path.write_bytes(self.raw)
        self.elements = len(elements) * self.repeats
        # The first of the least of all lies in the first block.
        least = min(elements)
        self.exact = {"sum": total(elements) * self.repeats, "min": least,
                      "argmin": elements.index(least)}

    def pieces(self):
        """All bytes of the data set."""
        return (self.raw for _ in range(self.repeats))

    def nearest(self, what: str):
        """The right answer in the type that adsum prints."""
        value = self.exact[what]
        # Dividing integers, Python rounds once.
        return value.numerator / value.denominator if isinstance(value, Fraction) else value

    def is_near(self, what: str, answer: str, total_type: str) -> bool:
        """Whether a peer's answer is one of all of these elements.

        A thread of a card adds about a thousand elements one by one: as many
        roundings of 2^-24 or 2^-53 at most.
        """
        if what == "argmin":
            # Not all peers promise the first of equal ones.
            return (int(answer) - self.exact[what]) % (self.elements // self.repeats) == 0
        if what == "min":
            return (float if "float" in self.dtype else int)(answer) == self.exact[what]
        if "int" in self.dtype:
            # They wrap around, and so does the right answer.
            return (int(answer) - self.exact["sum"]) & MASK == 0
        error = abs(Fraction(float(answer)) - self.exact["sum"]) / self.exact["sum"]
        return error <= TOLERANCES[total_type]


TOLERANCES = {"float32": Fraction(1, 10**4), "float64": Fraction(1, 10**12)}


def block(dtype: str, length: int):
    """The generator of G. Steele, D. Lea, C. Flood (Fast Splittable Pseudorandom
    Number Generators, OOPSLA 2014)."""
    bits, state = 8 * SIZES[dtype], 1
    for _ in range(length):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        if "float" in dtype:
            yield (z >> 11) / (1 << UNIT_BITS)
        else:
            # The lowest bits, in two's complement.
            low = z & ((1 << bits) - 1)
            yield low - (1 << bits) if low >> (bits - 1) else low


def total(elements: array):
    if elements.typecode in "fd":
        unit = 1 << UNIT_BITS
        return Fraction(sum(int(element * unit) for element in elements), unit)
    return sum(elements)
