"""Makes edges.json: the edges of histograms as NumPy computes them.

    python make_edges.py

Needs NumPy 2.4 and ml_dtypes 0.6. Each case has the element type; the bits of the
smallest and the largest element (`data`), or the bits of the two float64 of a
range (`range`); the number of bins; and the type of the edges with their bits, of
more than 3 bins only their hash, or null where NumPy refuses or an edge is not
finite.
"""

import json
import warnings
from pathlib import Path

import ml_dtypes
import numpy as np

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64", "bfloat16"]
BINS = [1, 2, 3, 7, 10, 10, 12, 64, 1000, 2048, 2049, 5000]


def main():
    warnings.simplefilter("ignore")
    random = np.random.default_rng(20260102)
    cases = []
    for name in FLOATS:
        for low, high in floats(random, name):
            cases += [case(name, bins, data=(low, high)) for bins in pick(random)]
    for name in INTEGERS:
        for low, high in integers(random, name):
            cases += [case(name, bins, data=(low, high)) for bins in pick(random)]
    cases += [case("bool", bins, data=ends) for bins in (1, 4, 10) for ends in BOOLS]
    for name in ["float16", "float32", "float64", "int8", "int64", "uint64", "bool"]:
        for ends in ranges(random):
            cases += [case(name, bins, range=ends) for bins in pick(random)]
    most = [case(name, 65536, range=(-0.3, 0.8)) for name in ["float16", "float32", "float64", "int8"]]
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases + most)
    (Path(__file__).parent / "edges.json").write_text(f"[\n{lines}\n]\n")


BOOLS = [(False, False), (False, True), (True, True)]


def pick(random):
    return [int(bins) for bins in random.choice(BINS, size=3, replace=False)]


def scalar(name):
    return np.dtype(getattr(ml_dtypes, name, name)).type


def floats(random, name):
    """Pairs of numbers in order: specials, subnormals, all exponents, neighbours."""
    kind = scalar(name)
    info = ml_dtypes.finfo(kind)
    tiny, huge = info.smallest_subnormal, info.max
    normal = info.smallest_normal
    pairs = [(0, 1), (-1, 1), (0, 3.3), (0.1, 0.7), (-0.0, 0.0), (2, 2), (1 / 3, 1 / 3)]
    pairs += [(0, tiny), (-tiny, tiny), (0, 3 * float(tiny)), (0, 9 * float(tiny)), (tiny, normal)]
    pairs += [(-huge, huge), (0, huge), (huge, huge), (-float(huge) / 2, float(huge) / 2)]
    pairs += [(-np.inf, 1), (0, np.inf), (np.nan, np.nan)]
    ones = f"<u{np.dtype(kind).itemsize}"
    words = random.integers(0, np.iinfo(ones).max, size=(24, 2), dtype=ones, endpoint=True)
    values = words.view(kind)
    pairs += [tuple(pair) for pair in values if np.isfinite(pair.astype("f8")).all()]
    for _ in range(16):
        center = random.normal() * 10.0 ** random.integers(-3, 4)
        pairs.append((center, center + abs(random.normal()) * 10.0 ** random.integers(-3, 4)))
    pairs = [(kind(low), kind(high)) for low, high in pairs]
    return [(low, high) if not high < low else (high, low) for low, high in pairs]


def integers(random, name):
    """Pairs of integers in order: limits, neighbours, all sizes."""
    info = np.iinfo(name)
    low, high = int(info.min), int(info.max)
    pairs = [(low, high), (low, low), (high, high), (low, low + 3), (high - 3, high), (0, 1)]
    pairs += [(0, 100), (3, 17)]
    if info.bits == 64:
        pairs += [(2**53 - 3, 2**53 + 2), (2**53 + 1, 2**60 + 1), (0, 2**53 + 1)]
    for _ in range(8):
        size = int(random.integers(1, info.bits))
        pair = random.integers(max(low, -(2**size)), min(high, 2**size), size=2, dtype=name)
        pairs.append((int(pair.min()), int(pair.max())))
    kind = scalar(name)
    return [(kind(a), kind(b)) for a, b in pairs]


def ranges(random):
    pairs = [(0.0, 1.0), (0.1, 0.7), (-3.0, -3.0), (1.0, 1.0), (1e5, 1e6), (0.0, 1e39)]
    pairs += [(-1.5e308, 1.5e308), (0.0, 5e-324), (-1e-320, 1e-320), (1e20, 1e20), (-0.0, 0.0)]
    pairs += [(1.0, 0.0), (0.0, np.inf), (np.nan, 1.0), (-128.0, 127.0), (0.5, 9.5)]
    for _ in range(8):
        low = random.normal() * 10.0 ** random.integers(-3, 4)
        pairs.append((low, low + abs(random.normal()) * 10.0 ** random.integers(-3, 4)))
    # Python's floats, which leave the type of the edges to the elements.
    return [(float(low), float(high)) for low, high in pairs]


def case(name, bins, data=None, range=None):
    kind = scalar(name)
    array = np.array([] if data is None else data, dtype=kind)
    try:
        if name == "bfloat16":
            # NumPy has no rule for a type that is not its own. float64 is what it
            # makes of its numbers elsewhere.
            edges = np.histogram_bin_edges(array.astype("f8"), bins)
            edges = once(edges).astype(kind)
        else:
            edges = np.histogram_bin_edges(array, bins, range=range)
    except ValueError:
        edges = None
    if edges is not None and not np.isfinite(edges.astype("f8")).all():
        edges = None
    if edges is not None and (edges[:-1] >= edges[1:]).any():
        edges = None
    found = {"dtype": name, "bins": bins}
    found |= {"data": words(array)} if data is not None else {"range": words(np.array(range))}
    if edges is None:
        return found | {"edges": None}
    found["edges"] = edges.dtype.name
    bits = words(edges)
    return found | ({"bits": bits} if bins <= 3 else {"hash": fold(bits)})


def once(numbers):
    """float64 as float32 that round to bfloat16 as the float64 would: what does
    not fit makes the last bit odd."""
    near = numbers.astype("f4")
    past = np.abs(near.astype("f8")) > np.abs(numbers)
    bits = near.view("u4") - past
    return (bits | (near.astype("f8") != numbers)).astype("u4").view("f4")


def words(array):
    return [f"{word:x}" for word in array.view(f"<u{array.itemsize}").tolist()]


def fold(words):
    """FNV-1a, a whole word at a time."""
    state = 0xCBF29CE484222325
    for word in words:
        state = (state ^ int(word, 16)) * 0x100000001B3 % 2**64
    return f"{state:x}"


if __name__ == "__main__":
    main()
