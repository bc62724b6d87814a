"""Binary floats by Python's integers: decoding, and rounding once.

A finite float is a `fractions.Fraction`; infinities and NaN are Python floats.
Nothing here rounds but `Format.nearest` and `Format.nearest_root`, to nearest
with ties to even.
"""

import decimal
import math
import random
import struct
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Format:
    """An interchange format of IEEE 754, or bfloat16."""

    width: int
    # Bits of a significand, the implicit one included.
    precision: int
    # The smallest subnormal is 2 to this.
    exponent_min: int

    @property
    def sign(self):
        return 1 << (self.width - 1)

    @property
    def infinity(self):
        return ((1 << (self.width - self.precision)) - 1) << (self.precision - 1)

    @property
    def quiet_nan(self):
        return self.infinity | 1 << (self.precision - 2)

    def is_nan(self, bits):
        return bits & ~self.sign > self.infinity

    def decode(self, bits):
        """The value of a bit pattern; the sign of a zero is lost."""
        magnitude = bits & ~self.sign
        if magnitude > self.infinity:
            return math.nan
        sign = -1 if bits & self.sign else 1
        if magnitude == self.infinity:
            return sign * math.inf
        field, fraction = divmod(magnitude, 1 << (self.precision - 1))
        if field > 0:
            fraction += 1 << (self.precision - 1)
        return sign * fraction * power(max(field - 1, 0) + self.exponent_min)

    def encode(self, value):
        """The bits of a value, rounded if it is a fraction; an exact zero is +0."""
        if not isinstance(value, float):
            return self.nearest(Fraction(value))
        if math.isnan(value):
            return self.quiet_nan
        assert math.isinf(value)
        return self.infinity | (self.sign if value < 0 else 0)

    def nearest(self, value):
        """The bits of the float nearest to a fraction."""
        if value == 0:
            return 0
        unit = self._unit(floor_log2(abs(value)))
        # Python rounds fractions to even, exactly.
        bits = self._assemble(round(abs(value) / power(unit)), unit)
        return bits | (self.sign if value < 0 else 0)

    def nearest_root(self, value):
        """The bits of the float nearest to the square root of a fraction."""
        if value == 0:
            return 0
        unit = self._unit(floor_log2(value) // 2)
        scaled = value / power(2 * unit)
        root = math.isqrt(scaled.numerator // scaled.denominator)
        half = (Fraction(2 * root + 1, 2)) ** 2
        up = scaled > half or (scaled == half and root % 2 == 1)
        return self._assemble(root + up, unit)

    def _unit(self, exponent):
        """Exponent of the last bit of floats in [2^exponent, 2^(exponent + 1))."""
        return max(exponent - self.precision + 1, self.exponent_min)

    def _assemble(self, significand, unit):
        # Consecutive floats have consecutive bits: the implicit one, and a
        # carry into the next binade, add one to the exponent field.
        bits = ((unit - self.exponent_min) << (self.precision - 1)) + significand
        return min(bits, self.infinity)


FORMATS = {
    "float16": Format(16, 11, -24),
    "bfloat16": Format(16, 8, -133),
    "float32": Format(32, 24, -149),
    "float64": Format(64, 53, -1074),
}


def power(exponent):
    return Fraction(2) ** exponent


def floor_log2(value):
    """The exponent of the power of two at or below a positive fraction."""
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if value >= power(guess) else guess - 1


def tree_product(values):
    """The product of fractions that are not zero, as (significand in [1, 2),
    exponent): by a perfect binary tree over their places, whose nodes multiply
    the significands of their children in float64. A node without a right child
    is its left child."""
    if not values:
        return 1.0, 0

    def leaf(value):
        exponent = floor_log2(abs(value))
        return float(abs(value) / power(exponent)), exponent

    def node(level, place):
        if level == 0:
            return leaf(values[place])
        left = node(level - 1, 2 * place)
        if (2 * place + 1) << (level - 1) >= len(values):
            return left
        right = node(level - 1, 2 * place + 1)
        significand, exponent = left[0] * right[0], left[1] + right[1]
        return (significand / 2, exponent + 1) if significand >= 2 else (significand, exponent)

    return node((len(values) - 1).bit_length(), 0)


def check():
    """Compares with what else rounds correctly: Python's division, `struct`,
    and square roots by `decimal`."""
    source = random.Random(20260102)
    double, single, half = (FORMATS[name] for name in ("float64", "float32", "float16"))
    pack = lambda form, value: int.from_bytes(struct.pack(form, value))
    for _ in range(3000):
        top, bottom = source.getrandbits(source.randint(1, 1000)), source.getrandbits(1090)
        value = Fraction(top, bottom >> source.randint(0, 1080) | 1)
        assert double.nearest(value) == pack(">d", value.numerator / value.denominator)
        for form, format in [(">f", single), (">e", half)]:
            # Exact in float64, so `struct` rounds once.
            highest = 90 if form == ">f" else -16
            exact = math.ldexp(source.getrandbits(30), source.randint(-170, highest))
            try:
                expected = pack(form, exact)
            except OverflowError:
                expected = format.infinity
            assert format.nearest(Fraction(exact)) == expected, exact
        bits = source.getrandbits(63) % double.infinity
        assert double.decode(bits) == Fraction(struct.unpack(">d", bits.to_bytes(8))[0])
        for format in FORMATS.values():
            bits = source.getrandbits(format.width - 1) % format.infinity
            exact = format.decode(bits)
            assert format.nearest(exact) == bits
            assert format.nearest(-exact) == (bits and bits | format.sign)
            # The root of a square is exact; and a tie goes to even.
            assert format.nearest_root(exact**2) == bits
            above = format.decode(bits + 1)
            if isinstance(above, Fraction):
                middle = ((exact + above) / 2) ** 2
                assert format.nearest_root(middle) == bits + bits % 2
                # A hair from a tie, and beyond what 60 digits tell apart.
                assert format.nearest_root(middle * (1 + power(-5000))) == bits + 1
                assert format.nearest_root(middle * (1 - power(-5000))) == bits
        with decimal.localcontext(prec=60):
            root = (decimal.Decimal(value.numerator) / decimal.Decimal(value.denominator)).sqrt()
        for format in (double, single, half):
            assert format.nearest_root(value) == format.nearest(Fraction(root))
    assert tree_product([Fraction(3), Fraction(-5), Fraction(7)]) == (105 / 64, 6)
