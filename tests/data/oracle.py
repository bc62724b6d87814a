"""What the program must answer, by Python's integers and fractions, and by
NumPy where NumPy is exact or its rule is the rule.

`answer` takes a command line as the program does and gives the fields of its
JSON object. It shares no code with the program.
"""

import argparse
import math
import warnings
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np

from exact import FORMATS, power, tree_product

HERE = Path(__file__).parent
EXTREMES = ("min", "max")
PLACES = ("argmin", "argmax")
QUANTILES = ("quantile", "median")
BITWISE = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}

# How often NumPy's answer was another one, by what it was about.
differences = Counter()


class Refused(Exception):
    """The input has no answer: exit code 3."""


@dataclass
class Value:
    """A result: its type's name, and its bits as the program shows them."""

    dtype: str
    bits: str


@dataclass
class Data:
    """Elements as bit patterns (`uint64`), joined along the first axis where
    shapes allow it."""

    dtype: str
    # One array for each file.
    arrays: list
    fortran: list

    @property
    def cells(self):
        """All elements, each file in C order."""
        return np.concatenate([array.ravel() for array in self.arrays])

    @property
    def stored(self):
        """All elements as they lie in the files."""
        pairs = zip(self.arrays, self.fortran)
        return np.concatenate([array.ravel("F" if fortran else "C") for array, fortran in pairs])


def answer(*args):
    """The `dtype_out`, `bits`, `shape`, `elements`, .. of a command line.

    Raises `Refused` for input that has no answer. Command lines that make no
    sense are the caller's to know.
    """
    options = parse(args)
    with warnings.catch_warnings():
        # NumPy warns of overflow, empty slices and NaN, all of them wanted here.
        warnings.simplefilter("ignore")
        with np.errstate(all="ignore"):
            if options.op == "dot":
                return dot(*(load([name], options) for name in options.files), options)
            data = load(options.files, options)
            if options.op == "histogram":
                return histogram(data, options)
            if options.axis is not None:
                return along(data, options)
            found = {"elements": data.cells.size}
            if options.op in QUANTILES:
                results = quantiles(data.dtype, data.cells, options)
                return (single(results[0]) if len(results) == 1 else several(results)) | found
            if options.op == "stats":
                return stats(data.dtype, data.cells, options) | found
            if options.op == "minmax":
                both = [reduce(op, data.dtype, data.cells, options) for op in EXTREMES]
                return several(both) | found
            cells = data.stored if options.op == "prod" else data.cells
            return single(reduce(options.op, data.dtype, cells, options)) | found


def parse(args):
    parser = argparse.ArgumentParser()
    parser.add_argument("op")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--ddof", type=int, default=0)
    parser.add_argument("--skip-nan", action="store_true")
    parser.add_argument("--axis", type=int)
    parser.add_argument("--keepdims", action="store_true")
    parser.add_argument("--out-dtype")
    parser.add_argument("--dtype")
    parser.add_argument("--endian", default="little")
    parser.add_argument("--shape", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--bins", type=int, default=10)
    floats = lambda text: [float(x) for x in text.split(",")]
    parser.add_argument("--range", type=floats)
    parser.add_argument("--edges", type=floats)
    parser.add_argument("-q", type=floats)
    parser.add_argument("--method", default="linear")
    joined = []
    for arg in args:
        # argparse takes a value that starts with a hyphen only this way.
        if joined and joined[-1] in ("--range", "--edges"):
            joined[-1] += "=" + arg
        else:
            joined.append(arg)
    return parser.parse_intermixed_args(joined)


def load(names, options):
    """The files of names and globs. Elements are read as unsigned integers, so
    no conversion can touch their bits."""
    paths = []
    for name in names:
        paths += sorted(HERE.glob(name)) if "*" in name else [HERE / name]
    arrays, fortran, dtypes = [], [], set()
    for path in paths:
        if path.suffix == ".npy":
            array = np.load(path)
            dtype, size, order = array.dtype.name, array.itemsize, array.dtype.str[0]
            fortran.append(array.flags.f_contiguous and not array.flags.c_contiguous)
        else:
            dtype = options.dtype
            size = np.dtype(getattr(ml_dtypes, dtype, dtype)).itemsize
            order = "<" if options.endian == "little" else ">"
            array = np.frombuffer(path.read_bytes(), f"{order}u{size}")
            array = array.reshape(options.shape or (-1,))
            fortran.append(False)
        order = "" if order == "|" else order
        arrays.append(array.view(f"{order}u{size}").astype("u8"))
        dtypes.add(dtype)
    (dtype,) = dtypes
    return Data(dtype, arrays, fortran)


def numpy(dtype, cells):
    """Bit patterns as an array of their own type."""
    native = np.dtype(getattr(ml_dtypes, dtype, dtype))
    return cells.astype(f"u{native.itemsize}").view(native)


def values(dtype, cells):
    """Bit patterns as Python's integers, or fractions and special floats."""
    if dtype in FORMATS:
        return [FORMATS[dtype].decode(int(bits)) for bits in cells]
    return [int(value) for value in numpy(dtype, cells)]


def is_nan_float(value):
    return isinstance(value, float) and math.isnan(value)


def is_nan(dtype, cells):
    if dtype not in FORMATS:
        return np.zeros(cells.shape, bool)
    format = FORMATS[dtype]
    return (cells & np.uint64(format.sign - 1)) > format.infinity


def element(dtype, bits):
    """An element as a result; NaN is the canonical one."""
    if dtype in FORMATS and FORMATS[dtype].is_nan(int(bits)):
        bits = FORMATS[dtype].quiet_nan
    size = np.dtype(getattr(ml_dtypes, dtype, dtype)).itemsize
    return Value(dtype, f"0x{int(bits):0{2 * size}x}")


def integer(dtype, value):
    """An integer of a widened type: 64 bits, or as many more as it needs."""
    signed = dtype[0] != "u"
    for width in (64, 128, 192):
        low = -(1 << (width - 1)) if signed else 0
        if low <= value < low + (1 << width):
            bits = value & ((1 << width) - 1)
            return Value(f"{'' if signed else 'u'}int{width}", f"0x{bits:0{width // 4}x}")
    raise AssertionError(f"{value} is past 192 bits")


def rounded(value, options, root=False):
    """A value rounded once to the output type."""
    dtype = options.out_dtype or "float64"
    format = FORMATS[dtype]
    exact = root and not isinstance(value, float)
    return element(dtype, format.nearest_root(Fraction(value)) if exact else format.encode(value))


def total(terms):
    """The exact sum of fractions, integers and special floats."""
    special = [term for term in terms if isinstance(term, float)]
    # Infinities and NaN add up as IEEE 754 says, in any order.
    return sum(special) if special else sum(terms, Fraction(0))


def product(a, b):
    if isinstance(a, float) or isinstance(b, float):
        sign = lambda x: x if isinstance(x, float) else float((x > 0) - (x < 0))
        return sign(a) * sign(b)
    return a * b


def reduce(op, dtype, cells, options):
    """One result over cells in the order of their places."""
    nan = is_nan(dtype, cells)
    if op in EXTREMES:
        return extreme(op, dtype, cells, nan, options)
    if op in PLACES:
        return place(op, dtype, cells, nan, options)
    if op == "prod":
        return prod(dtype, cells, nan, options)
    if options.skip_nan:
        cells = cells[~nan]
    if op in BITWISE:
        found = BITWISE[op].reduce(numpy(dtype, cells))
        return element(dtype, found.view(f"u{found.itemsize}"))
    if op == "count":
        return integer("int64", cells.size)
    if op in ("count_nonzero", "any", "all"):
        found = getattr(np, op)(comparable(dtype, cells))
        return element("bool", found) if op != "count_nonzero" else integer("int64", int(found))
    return moment(op, dtype, values(dtype, cells), options)


def moment(op, dtype, items, options):
    """What is made of exact sums, rounded once."""
    count = len(items)
    if op in ("sum", "sumsq"):
        terms = items if op == "sum" else [product(x, x) for x in items]
        return widened(dtype, total(terms), options)
    if op == "l1":
        return rounded(total([abs(x) for x in items]), options)
    if op == "l2":
        return rounded(total([product(x, x) for x in items]), options, root=True)
    if op == "linf":
        largest = max(map(abs, items), default=Fraction(0))
        return rounded(math.nan if any(map(is_nan_float, items)) else largest, options)
    whole = total(items)
    if op == "mean":
        special = isinstance(whole, float)
        return rounded(math.nan if count == 0 else whole if special else whole / count, options)
    assert op in ("var", "std"), op
    if isinstance(whole, float) or count == 0 or count <= options.ddof:
        return rounded(math.nan, options)
    mean = whole / count
    spread = sum((x - mean) ** 2 for x in items) / (count - options.ddof)
    return rounded(spread, options, root=op == "std")


def widened(dtype, value, options):
    if dtype in FORMATS or options.out_dtype:
        return rounded(value, options)
    return integer(dtype, int(value))


def comparable(dtype, cells):
    """An array that NumPy compares and sorts; 16-bit floats widen exactly."""
    array = numpy(dtype, cells)
    return array.astype("f4") if array.itemsize == 2 and dtype in FORMATS else array


def extreme(op, dtype, cells, nan, options):
    if cells.size == 0:
        raise Refused
    if options.skip_nan and nan.all():
        return element(dtype, FORMATS[dtype].quiet_nan)
    # Not NumPy's nanmin: it takes a signalling NaN for a number.
    cells = cells[~nan] if options.skip_nan else cells
    array = comparable(dtype, cells)
    found = getattr(np, op)(array)
    if dtype in FORMATS and np.isnan(found):
        return element(dtype, FORMATS[dtype].quiet_nan)
    # NumPy knows one zero; of ours -0 is the smaller one.
    equal = sorted(cells[array == found], reverse=op == "min")
    return element(dtype, equal[0])


def place(op, dtype, cells, nan, options):
    if cells.size == 0 or (options.skip_nan and nan.all()):
        raise Refused
    # Not NumPy's nanargmin: it takes NaN for an infinity.
    kept = np.flatnonzero(~nan | (not options.skip_nan))
    array = comparable(dtype, cells)
    found = int(kept[getattr(np, op)(array[kept])])
    if dtype in FORMATS and array[found] == 0:
        # As for extremes: the first of the zeros of that sign.
        zeros = np.flatnonzero(array == 0)
        signs = cells[zeros] & np.uint64(FORMATS[dtype].sign)
        wanted = signs.max() if op == "argmin" else signs.min()
        first = int(zeros[signs == wanted][0])
        differences["place of a zero"] += first != found
        found = first
    return Value("int64", str(found))


def prod(dtype, cells, nan, options):
    if dtype not in FORMATS:
        widened = "uint64" if dtype[0] == "u" else "int64"
        whole = math.prod(values(dtype, cells))
        wrapped = np.prod(numpy(dtype, cells), dtype=widened)
        assert int(wrapped.view("u8")) == whole % 2**64
        return element(widened, whole % 2**64)
    format = FORMATS[options.out_dtype or "float64"]
    # NaN that is skipped is a factor of 1 at its place, as in np.nanprod.
    items = values(dtype, cells)
    if options.skip_nan:
        items = [Fraction(1) if is_nan_float(x) else x for x in items]
    special = {x for x in items if isinstance(x, float)}
    negative = sum(bool(bits & np.uint64(FORMATS[dtype].sign)) for bits in cells[~nan]) % 2
    if any(map(math.isnan, special)) or (special and 0 in items):
        bits = format.quiet_nan
    elif special:
        bits = format.infinity
    elif 0 in items:
        bits = 0
    else:
        significand, exponent = tree_product(items)
        bits = format.nearest(Fraction(significand) * power(exponent))
    if not format.is_nan(bits):
        bits |= negative * format.sign
    return element(options.out_dtype or "float64", bits)


def single(value):
    return {"dtype_out": value.dtype, "bits": value.bits}


def several(results):
    # The widest type, where integers went past 64 bits.
    widest = max(results, key=lambda value: len(value.bits))
    return {"dtype_out": widest.dtype, "bits": [value.bits for value in results]}


def along(data, options):
    """One result for every place of the other axes, in C order."""
    joined = np.concatenate(data.arrays)
    axis = options.axis % joined.ndim
    lines = np.moveaxis(joined, axis, -1)
    shape = list(lines.shape[:-1])
    lines = lines.reshape(math.prod(shape), joined.shape[axis])
    if options.keepdims:
        shape.insert(axis, 1)

    def numbers(line):
        if options.op in QUANTILES:
            return quantiles(data.dtype, line, options)
        return [reduce(options.op, data.dtype, line, options)]

    columns = [numbers(line) for line in lines]
    # Of no results there is the type alone, that of any other line.
    like = columns[0] if columns else numbers(np.zeros(1, "u8"))
    if len(like) > 1:
        shape.insert(0, len(like))
    results = [one for numbers in zip(*columns) for one in numbers]
    if results:
        found = several(results) if shape else single(results[0])
    else:
        found = {"dtype_out": like[0].dtype, "bits": []}
    return found | {"shape": shape, "elements": joined.size}


def stats(dtype, cells, options):
    """The lines of the table by their names. Nothing has no extremes."""
    nan = is_nan(dtype, cells)
    kept = cells[~nan] if options.skip_nan else cells
    lines = {"count": integer("int64", kept.size), "nan": integer("int64", int(nan.sum()))}
    if cells.size:
        lines |= {op: reduce(op, dtype, cells, options) for op in EXTREMES}
    quartiles = argparse.Namespace(**vars(options) | {"op": "quantile", "q": [0.25, 0.5, 0.75]})
    lines |= zip(["25 %", "50 %", "75 %"], quantiles(dtype, cells, quartiles), strict=True)
    lines |= {op: reduce(op, dtype, cells, options) for op in ("mean", "std", "sum", "l2")}
    return {"dtype_out": "mixed", "bits": {name: value.bits for name, value in lines.items()}}


def dot(first, second, options):
    """The exact sum of products, of elements in the order in which they lie."""
    sides = (values(data.dtype, data.stored) for data in (first, second))
    pairs = [product(a, b) for a, b in zip(*sides, strict=True)]
    if options.skip_nan:
        pairs = [x for x in pairs if not is_nan_float(x)]
    return single(widened(first.dtype, total(pairs), options))


def histogram(data, options):
    """Counts by exact comparison with NumPy's edges. NumPy's counts must equal
    them, although it compares integers beyond 2^53 as float64."""
    array = numpy(data.dtype, data.cells)
    try:
        counts, edges = np.histogram(array, options.edges or options.bins, range=options.range)
    except ValueError as error:
        raise Refused from error
    dtype = edges.dtype.name
    cells = edges.view(f"u{edges.itemsize}")
    bounds = values(dtype, cells)
    # Edges made of the extremes hold them, even where float64 rounds those.
    holds_all = options.edges is None and options.range is None
    exact = [0] * (len(bounds) - 1)
    for x in values(data.dtype, data.cells):
        if holds_all or bounds[0] <= x <= bounds[-1]:
            # The last bin is closed.
            place = sum(bound <= x for bound in bounds) - 1
            exact[min(max(place, 0), len(exact) - 1)] += 1
    assert exact == counts.tolist(), options
    return {
        "dtype_out": "int64",
        "bits": [f"0x{count:016x}" for count in exact],
        "edges_bits": [element(dtype, bits).bits for bits in cells],
        "elements": data.cells.size,
    }


def quantiles(dtype, cells, options):
    shares = [0.5] if options.op == "median" else options.q
    nan = is_nan(dtype, cells)
    if options.skip_nan:
        cells, nan = cells[~nan], nan[~nan]
    format = FORMATS.get(dtype)
    array = comparable(dtype, cells)
    # By value, and -0 before +0.
    order = np.lexsort((~cells if format else cells, array))
    return [position(dtype, cells[order], share, nan.any(), options) for share in shares]


def position(dtype, cells, share, nan, options):
    """One quantile of sorted cells, at the exact product of the share and the
    last index."""
    output = options.out_dtype or dtype
    between = options.method in ("linear", "midpoint")
    if between and output not in FORMATS:
        output = "float64"
    if nan or cells.size == 0:
        return element(output, FORMATS[output].quiet_nan)
    exact = Fraction(share) * (cells.size - 1)
    low, rest = math.floor(exact), exact % 1
    high = low + (rest > 0)
    # NumPy multiplies in float64. Where that is at another place, all methods
    # but the linear one differ by more than rounding, and nothing is recorded.
    in_float = share * (cells.size - 1)
    same = math.floor(in_float) == low and math.ceil(in_float) == high
    assert same or options.method == "linear", (options.files, share)
    if not between:
        half = Fraction(1, 2)
        up = {
            "lower": False,
            "higher": True,
            "nearest": rest > half or (rest == half and low % 2 == 1),
        }
        chosen = cells[high if up[options.method] else low]
        sortable = comparable(dtype, cells)
        theirs = np.quantile(sortable, np.float64(share), method=options.method)
        assert theirs == comparable(dtype, chosen[None])[0], (options.files, share)
        return element(dtype, chosen)
    if cells[low] == cells[high] and output == dtype:
        # The element itself, or either of two equal ones, with the sign of a zero.
        return element(dtype, cells[low])
    a, b = values(dtype, cells[[low, high]])
    if isinstance(a, float) or isinstance(b, float):
        # Both count, so an infinity wins over numbers, and two of opposite
        # signs leave nothing to tell.
        value = a if a == b else total([x for x in (a, b) if isinstance(x, float)])
    else:
        weight = Fraction(1, 2) if options.method == "midpoint" and rest else rest
        value = a + (b - a) * weight
        if output == "float64":
            compare(value, share, dtype, cells, options)
    return rounded(value, argparse.Namespace(out_dtype=output))


def compare(value, share, dtype, cells, options):
    """Notes how far NumPy's quantile is from ours, in units of the last place."""
    theirs = np.quantile(comparable(dtype, cells).astype("f8"), share, method=options.method)
    bits = [int(np.float64(x).view("i8")) for x in (nearest_float(value), theirs)]
    distance = abs(bits[0] - bits[1])
    differences[f"finite quantiles {min(distance, 2)} units of the last place away"] += 1


def nearest_float(value):
    return np.uint64(FORMATS["float64"].nearest(Fraction(value))).view("f8")
