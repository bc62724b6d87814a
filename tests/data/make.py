"""Makes the files of this directory; README.md says what they are.

    python make.py flights-200k.json

The argument is `data/flights-200k.json` of the npm package `vega-datasets`
3.2.1. Needs NumPy, 2.0 or later. Run twice, it writes the same bytes twice.
"""

import hashlib
import json
import math
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FLIGHTS_SHA256 = "82c60682ccdec1a9cf1102b2a011bef789243053f1ac01a531580c72be3d8bc0"


def main():
    arrays = {"flights_time": flights(Path(sys.argv[1]).read_bytes())}
    arrays |= small() | adversarial()
    for name, array in arrays.items():
        with open(HERE / f"{name}.npy", "wb") as file:
            np.lib.format.write_array(file, array, version=VERSIONS.get(name, (1, 0)))
    refused()
    totals = [total(f"{name}.npy") for name in sorted(arrays)]
    (HERE / "totals.json").write_text(json.dumps(totals, indent=1) + "\n")


VERSIONS = {"version_2": (2, 0), "version_3": (3, 0)}


def flights(text):
    """Hours after midnight at which 200,000 flights left, as the data set gives
    them: minutes divided by 60, so nearly all are inexact."""
    assert hashlib.sha256(text).hexdigest() == FLIGHTS_SHA256, "another edition of the data"
    return np.array([row["time"] for row in json.loads(text)], dtype="<f8")


def small():
    """Every element type, byte order, memory order, version and odd shape."""
    random = np.random.default_rng(20260101)
    arrays = {}
    for code in ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]:
        limits = np.iinfo(code)
        values = random.integers(limits.min, limits.max, size=61, dtype=code, endpoint=True)
        values[:2] = limits.max, limits.min
        arrays[f"little_{code}"] = values.astype("<" + code)
        if values.itemsize > 1:
            arrays[f"big_{code}"] = values.astype(">" + code)
    arrays["bool"] = random.random(61) < 0.5
    for code in ["f4", "f8"]:
        values = wild(random, code, 61)
        arrays[f"little_{code}"] = values.astype("<" + code)
        arrays[f"big_{code}"] = values.astype(">" + code)
    cube = wild(random, "f8", 60).reshape(3, 4, 5)
    arrays["order_c"] = cube
    arrays["order_fortran"] = np.asfortranarray(cube)
    arrays["axes_64"] = cube[0, 0, :2].reshape((1,) * 63 + (2,))
    arrays["axes_0"] = np.array(0.1)
    arrays["empty"] = np.array([], dtype="<f4")
    arrays["empty_axis"] = np.zeros((3, 0, 2), dtype="<i4")
    arrays["version_2"] = cube[1]
    arrays["version_3"] = cube[2]
    return arrays


def wild(random, code, count):
    """Floats of random signs and significands, with exponents over the whole
    range, subnormal ones included, but low enough that no sum overflows."""
    bits = random.integers(0, 2**64, size=count, dtype="u8")
    if code == "f4":
        exponent = (bits >> 23) % 240
        word = (bits >> 32) & 0x8000_0000 | exponent << 23 | bits & 0x7F_FFFF
        return word.astype("u4").view("f4")
    exponent = (bits >> 52) % 2040
    word = (random.integers(0, 2, size=count, dtype="u8") << 63) | exponent << 52
    return (word | bits & 0xF_FFFF_FFFF_FFFF).view("f8")


def adversarial():
    """Sums that a float accumulator gets wrong."""
    largest = np.finfo("f8").max
    tiny = np.finfo("f8").smallest_subnormal
    arrays = {}
    # Everything large cancels; what is left are a half and the least number.
    large = np.ldexp(1.0, np.arange(0, 1020, 17))
    cancel = np.concatenate([large, [0.5, tiny], -large[::-1], [largest, largest, -largest, -largest]])
    arrays["cancellation"] = cancel
    # Half a unit of the last place above 1, and ever less above that: a tie,
    # broken only by the last element, in one type after the other.
    arrays["tie_even"] = np.array([1.0, 2.0**-53])
    arrays["tie_broken"] = np.array([1.0, 2.0**-53, tiny])
    arrays["tie_f4"] = np.array([1.0, 2.0**-24, 2.0**-60], dtype="<f4")
    arrays["overflow_between"] = np.array([largest, largest, -largest, 1.0])
    arrays["overflow"] = np.array([largest, largest])
    arrays["subnormal"] = np.array([tiny, tiny, -3 * tiny])
    arrays["zero_negative"] = np.array([-0.0, -0.0])
    arrays["infinite"] = np.array([1.0, -np.inf, 2.0], dtype="<f4")
    arrays["infinite_both"] = np.array([np.inf, -np.inf])
    arrays["nan"] = np.array([1.0, np.nan, np.inf])
    return arrays


def refused():
    """Element types that are refused: only the headers matter."""
    arrays = {
        "longdouble": np.zeros(2, np.longdouble),
        "complex128": np.zeros(2, "<c16"),
        "bytes": np.array([b"ab", b"c"]),
        "str": np.array(["ab", "c"]),
        "datetime64": np.zeros(2, "<M8[ns]"),
        "timedelta64": np.zeros(2, "<m8[s]"),
        "void": np.zeros(2, "V2"),
        "record": np.zeros(2, [("x", "<f8"), ("y", "<i4", (2,))]),
    }
    for name, array in arrays.items():
        np.save(HERE / f"refused_{name}.npy", array)


def total(name):
    """The exact total of a file, by integers only.

    What NumPy reads back is cross-checked with what `struct` reads, and the
    rounded total with `math.fsum`, which is another algorithm.
    """
    array = np.load(HERE / name)
    values = array.ravel(order="K").tolist()
    code = {"b": "?", "i": " bh i   q", "u": " BH I   Q", "f": "    f   d"}[array.dtype.kind]
    code = code[array.dtype.itemsize] if len(code) > 1 else code
    order = ">" if array.dtype.byteorder == ">" else "<"
    data = (HERE / name).read_bytes()[-array.nbytes :] if array.nbytes else b""
    check = [value for (value,) in struct.iter_unpack(order + code, data)]
    assert list(map(repr, values)) == list(map(repr, check)), name

    record = {"file": name, "dtype": array.dtype.name, "elements": array.size}
    if all(map(math.isfinite, values)):
        exact = sum(map(Fraction, values), Fraction(0))
        rounded = nearest_f64(exact)
        if array.dtype.kind == "f" and math.isfinite(rounded):
            # fsum gives up where a partial sum overflows, which no total of
            # ours does; and it keeps the sign of a zero, which ours drops.
            try:
                assert math.fsum(values) == rounded, name
            except OverflowError:
                pass
        record |= {"numerator": str(exact.numerator), "denominator": str(exact.denominator)}
    else:
        exact = None
        rounded = sum(value for value in values if not math.isfinite(value))
        rounded = math.nan if math.isnan(rounded) else rounded
        record |= {"numerator": None, "denominator": None}
    record |= {"sum_hex_f64": rounded.hex(), "bits_f64": f"0x{bits(rounded, '>d', 0x7FF8 << 48):016x}"}
    if array.dtype == np.dtype("f4"):
        single = rounded if exact is None else nearest_f32(exact)
        record["bits_f32"] = f"0x{bits(single, '>f', 0x7FC0 << 16):08x}"
    return record


def bits(value, form, quiet_nan):
    return quiet_nan if math.isnan(value) else int.from_bytes(struct.pack(form, value))


def nearest_f64(exact):
    """Division of Python's integers rounds correctly, to nearest even."""
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def nearest_f32(exact):
    """The nearest float32, even on ties, found by comparing exactly: rounding
    by way of float64 would round twice."""
    guess = np.float32(nearest_f64(exact))
    near = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    finite = [value for value in near if np.isfinite(value)]
    return float(min(finite, key=lambda value: (abs(Fraction(float(value)) - exact), int(value.view("u4")) & 1)))


main()
