"""Reads a file with a partial of adsum, by docs/partial-format.md and without adsum."""
import sys
from fractions import Fraction

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 float16 bfloat16".split()
UNITS = {"float16": 24, "bfloat16": 149, "float32": 149, "float64": 1074}
TERMS = ["values", "magnitudes", "squares", "products"]
# What states of each kind begin with: numbers, flags :f, and numbers that may be missing :o.
STATES = [
    "sum elements nan inf -inf first limbs", "extremum elements nan first_nan:o", "tally elements nan nonzero",
    "product elements zeros negative:f magnitude is_more:f", "tree elements nan zeros inf negative:f",
    "bits elements and or xor", "bins nan below above", "multiset nan",
]


def read(data):
    """The type of the elements, and for each output a list of its states as dicts."""
    rest = iter(data)
    byte = lambda: next(rest)
    integer = lambda count, signed: int.from_bytes([byte() for _ in range(count)], "little", signed=signed)

    def number():
        value, shift, more = 0, 0, True
        while more:
            part = byte()
            value, shift, more = value | (part & 127) << shift, shift + 7, part > 127
        return value

    def state(kind, option):
        name, *fields = STATES[kind].split()
        take = {"": number, "f": byte, "o": lambda: number() if byte() else None}
        found = dict(kind=name, **{field: take[how]() for field, _, how in (one.partition(":") for one in fields)})
        if name == "sum":
            first, count = found.pop("first"), found.pop("limbs")
            signed = dtype[0] != "u" and dtype != "bool" and option in (0, 3)
            units = integer(8 * count, signed) << 64 * (first if count else 0)
            unit = UNITS.get(dtype, 0) * (2 if option > 1 else 1)
            found.update(kind=f"sum of {TERMS[option]}", sum=Fraction(units, 1 << unit))
        elif name == "extremum" and found["nan"] < found["elements"]:
            found.update({one: number() for one in ["min", "min_place", "max", "max_place"]})
        elif name == "tree":
            found["nodes"] = [(number(), byte(), integer(8, False), integer(8, True)) for _ in range(number())]
        elif name == "bins":
            found["counts"] = [number() for _ in option[:-1]]
        elif name == "multiset":
            found["steps"] = [(number(), number()) for _ in range(number())]
        return found

    if byte() != 2:
        raise ValueError("not of format version 2")
    dtype, options = DTYPES[byte()], {0: number, 1: byte, 6: lambda: [number() for _ in range(number() + 1)], 7: number}
    kinds = [(kind := number(), options.get(kind, int)()) for _ in range(number())]
    outputs = [[state(*kind) for kind in kinds] for _ in range(number())]
    if list(rest):
        raise ValueError("bytes after the end")
    return dtype, outputs


if __name__ == "__main__":
    sys.exit("usage: read_partial.py FILE") if len(sys.argv) != 2 else print(*read(open(sys.argv[1], "rb").read()))
