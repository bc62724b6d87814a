"""Reductions with NumPy's names and signatures."""

import os
import types
from typing import NamedTuple

import numpy

from . import _adsum

_ndarray = numpy.ndarray
_LIKE = numpy.empty(0)
# DLPack's numbers of what the CPU can read: its own memory, and that of hosts for devices.
_IN_MEMORY = (1, 3, 11, 13)


def paths_of(x):
    """The paths that x is, or None if it is data."""
    if isinstance(x, (str, os.PathLike)):
        return [os.fspath(x)]
    if isinstance(x, (list, tuple)) and x and isinstance(x[0], (str, os.PathLike)):
        return [os.fspath(path) for path in x]
    return None


def _array(x):
    if isinstance(x, _ndarray):
        if isinstance(x, numpy.ma.MaskedArray):
            raise TypeError("a masked array: reduce x.compressed(), or x.filled(...)")
        return x
    if hasattr(x, "__dlpack__") and not isinstance(x, numpy.generic):
        device, _ = x.__dlpack_device__()
        if device not in _IN_MEMORY:
            raise TypeError(f"a {type(x).__name__} on a device (DLPack's number {device}); copy it to the CPU first")
        return numpy.from_dlpack(x)
    return numpy.asarray(x)


def dtype_name(dtype):
    return None if dtype is None else numpy.dtype(dtype).name


def _axes(axis):
    if axis is None or isinstance(axis, tuple):
        return axis
    if isinstance(axis, int):
        return (axis,)
    return tuple(axis) if isinstance(axis, list) else (axis.__index__(),)


def _source(x, device, progress):
    """Files, or an array; and whether they are files."""
    paths = paths_of(x)
    if paths is None:
        if device is not None and device != "cpu" or progress is not None:
            raise ValueError("device= and progress= are for files; an array is reduced by the CPU where it lies")
        return _array(x), False
    devices = [] if device is None else [device] if isinstance(device, str) else list(device)
    return _adsum.Files(paths, devices, progress), True


def _reduce(
    op, x, axis=None, keepdims=False, dtype=None, ddof=0, skip_nan=False,
    initial=None, where=True, comm=None, device=None, progress=None,
):
    source, are_files = _source(x, device, progress)
    if are_files:
        if initial is not None or where is not True:
            raise NotImplementedError("where= and initial= of files; use numpy.load(path, mmap_mode='r')")
        if axis is None:
            if keepdims:
                raise NotImplementedError("keepdims= of all elements of files, which may have different shapes")
            return _adsum.number(op, source, dtype_name(dtype), ddof, skip_nan, _LIKE, comm)
        (axis,) = _one_axis(axis)
        return _adsum.reduce_files_along(op, source, axis, keepdims, dtype_name(dtype), ddof, skip_nan, _LIKE, comm)
    axes = _axes(axis)
    if initial is None and where is True and comm is None:
        return _adsum.reduce(op, source, axes, keepdims, dtype_name(dtype), ddof, skip_nan)
    how = types.SimpleNamespace(second=None, initial=None, excluded=None, comm=comm)
    factor = None
    if initial is not None:
        source, how.initial = _initial(op, source, initial, dtype)
        if op == "prod" and source.dtype.kind == "f":
            factor, how.initial = how.initial, None
    if where is not True:
        source, how.excluded = _included(op, source, where, axes, skip_nan, how.initial)
    result = _adsum.reduce(op, source, axes, keepdims, dtype_name(dtype), ddof, skip_nan, how)
    return result if factor is None else numpy.multiply(result, factor, dtype=result.dtype)[()]


def _one_axis(axis):
    axes = _axes(axis)
    if len(axes) != 1:
        raise NotImplementedError("several axes of files; reduce along one of them, or numpy.load(path, mmap_mode='r')")
    return axes


def _initial(op, x, initial, dtype):
    """The array, and the initial element in its type; both in that of the result if it
    does not fit into the array's."""
    if numpy.ndim(initial):
        raise TypeError(f"initial= is one number, not {initial!r}")
    result = x.dtype.newbyteorder("=")
    if dtype is not None:
        result = numpy.dtype(dtype)
    elif op in ("sum", "prod") and result.kind in "biu":
        result = numpy.add.reduce(numpy.empty(0, result)).dtype
    value = numpy.asarray(result.type(initial))
    if result.kind in "biu" and value != initial:
        raise ValueError(f"initial={initial!r} is no {result}, the type of the result; say dtype=float, or round it")
    own = value.astype(x.dtype)
    if own == value or value != value:
        return x, own
    return x.astype(result), value


def _included(op, x, where, axes, skip_nan, initial):
    """The array with neutral elements in the place of those that are left out; and how many
    those are of each output, where that counts."""
    where = numpy.broadcast_to(numpy.asarray(where, bool), x.shape)
    excluded = None
    if op in ("min", "max"):
        if initial is None:
            raise ValueError(f"{op} has no identity, so that where= needs initial=")
        neutral = initial
    elif skip_nan and x.dtype.kind == "f":
        neutral = numpy.nan
    elif op in ("mean", "var", "std"):
        neutral = 0
        excluded = numpy.count_nonzero(~where, axis=axes)
        excluded = numpy.ravel(numpy.asarray(excluded, numpy.int64))
    else:
        neutral = {"sum": 0, "prod": 1, "any": 0, "all": 1}[op]
    return numpy.where(where, x, x.dtype.type(neutral)), excluded


_COMMON = """
    x: an array of any shape and layout, a CPU tensor with DLPack, anything that numpy.asarray
        takes, or files: the path of a .npy file, a glob ("data/*.npy"), or a list of them,
        whose elements count one after the other.
    axis: an int, a tuple of ints, or None for all elements together. Of files one int; files
        are joined along their first axis.
    keepdims: keep reduced axes with length 1."""
_INITIAL = """
    initial: one more element that each result has. It is rounded to the type of the result, and
        must be a number of it where that is an integer."""
_WHERE = """
    where: booleans that broadcast to the shape of x; elements at False are left out. It takes a
        copy of x, and is not for files."""
_PLACES = """
    comm: a communicator, as adsum.MPI.COMM_WORLD: the result is that of the arrays of all its
        ranks, one after the other in order of ranks along the reduced axes, and all ranks have
        the same bits. Of files each rank reduces its share, so that each element counts once.
    device: for files, which processors reduce: "auto", "cpu", "gpu", "gpu:0", a part of a name,
        or a list of them.
    progress: for files, called with the bytes that are done and all bytes of a pass.

    Returns a NumPy scalar, or an array of the shape of the axes that are kept. Raises
    TypeError for elements that adsum does not take, numpy.exceptions.AxisError, and OSError for
    files that cannot be read."""


def _named(function, name, what, more, extra=""):
    function.__name__ = function.__qualname__ = name
    function.__module__ = "adsum"
    text = f"{what}\n{_COMMON}{extra}{_PLACES}"
    function.__doc__ = f"{text}\n\n    {more}\n    " if more else f"{text}\n    "
    return function


def _total(op, name, what, more="", skip_nan=False):
    def function(
        x, axis=None, dtype=None, *, keepdims=False, initial=None, where=True, comm=None, device=None, progress=None
    ):
        return _reduce(op, x, axis, keepdims, dtype, 0, skip_nan, initial, where, comm, device, progress)

    return _named(function, name, what, more, _INITIAL + _WHERE)


def _average(op, name, what, more="", skip_nan=False):
    def function(x, axis=None, dtype=None, *, keepdims=False, where=True, comm=None, device=None, progress=None):
        return _reduce(op, x, axis, keepdims, dtype, 0, skip_nan, None, where, comm, device, progress)

    return _named(function, name, what, more, _WHERE)


def _spread(op, name, what, more="", skip_nan=False):
    def function(
        x, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, comm=None, device=None, progress=None
    ):
        return _reduce(op, x, axis, keepdims, dtype, ddof, skip_nan, None, where, comm, device, progress)

    return _named(function, name, what, more, _WHERE)


def _norm(op, name, what, more=""):
    def function(x, axis=None, dtype=None, *, keepdims=False, comm=None, device=None, progress=None):
        return _reduce(op, x, axis, keepdims, dtype, comm=comm, device=device, progress=progress)

    return _named(function, name, what, more)


def _extreme(op, name, what, more="", skip_nan=False):
    def function(
        x, axis=None, *, keepdims=False, initial=None, where=True, comm=None, device=None, progress=None
    ):
        return _reduce(op, x, axis, keepdims, None, 0, skip_nan, initial, where, comm, device, progress)

    return _named(function, name, what, more, _INITIAL + _WHERE)


def _truth(op, name, what):
    def function(x, axis=None, *, keepdims=False, where=True, comm=None, device=None, progress=None):
        return _reduce(op, x, axis, keepdims, None, 0, False, None, where, comm, device, progress)

    return _named(function, name, what, "", _WHERE)


def _plain(op, name, what, more="", skip_nan=False):
    def function(x, axis=None, *, keepdims=False, comm=None, device=None, progress=None):
        return _reduce(op, x, axis, keepdims, None, 0, skip_nan, comm=comm, device=device, progress=progress)

    return _named(function, name, what, more)


_DTYPE = (
    "dtype: the type of the result, by default NumPy's; the exact result is rounded to it once.\n"
    "    Floats may become any float. "
)
_WIDE = (
    _DTYPE + "Integers past 64 bits wrap as NumPy's do, with a\n    RuntimeWarning; dtype=float rounds"
    " the exact result instead."
)
_DDOF = _DTYPE + "\n    ddof: what is taken from the number of elements before it divides. NaN, with a\n    RuntimeWarning, where nothing is left."
_EMPTY = "No elements are a ValueError. NaN wins, and -0 is less than 0."
_SKIP = "NaN count as elements that are not there. "
_TREE = (
    " A product of floats is the same for all divisions of its\n    elements, but not correctly rounded;"
    " elements that are left out count as 1 in it, and initial\n    is multiplied last."
)
_ORDER = "\n    Over several axes the index is that in C order of their elements."
_ALL_NAN = "NaN of nothing else, with a\n    RuntimeWarning."

sum = _total("sum", "sum", "The exact sum, rounded once to nearest even.", _WIDE)
mean = _average("mean", "mean", "The exact mean, rounded once.", _DTYPE + "\n    NaN, with a RuntimeWarning, of no elements.")
prod = _total("prod", "prod", "The product: of integers exact, of floats along a perfect binary tree.", _WIDE + _TREE)
var = _spread("var", "var", "The exact variance, rounded once.", _DDOF)
std = _spread("std", "std", "The exact standard deviation, rounded once.", _DDOF)
l1 = _norm("l1", "l1", "The exact sum of magnitudes, rounded once.", _DTYPE)
l2 = _norm("l2", "l2", "The root of the exact sum of squares, rounded once.", _DTYPE)
linf = _norm("linf", "linf", "The largest magnitude; 0 of no elements.", _DTYPE)
sumsq = _norm("sumsq", "sumsq", "The exact sum of squares, rounded once.", _WIDE)
min = _extreme("min", "min", "The smallest element.", _EMPTY)
max = _extreme("max", "max", "The largest element.", _EMPTY)
minmax = _plain("minmax", "minmax", "The smallest and the largest element, a pair of results, in one pass.", _EMPTY)
argmin = _plain("argmin", "argmin", "The index of the first smallest element.", _EMPTY + _ORDER)
argmax = _plain("argmax", "argmax", "The index of the first largest element.", _EMPTY + _ORDER)
any = _truth("any", "any", "Whether any element is not zero; NaN is not.")
all = _truth("all", "all", "Whether no element is zero; NaN is not.")
count_nonzero = _plain("count_nonzero", "count_nonzero", "The number of elements that are not zero.")
bitwise_and = _plain("and", "bitwise_and", "The bitwise and of integers; all bits of none.")
bitwise_or = _plain("or", "bitwise_or", "The bitwise or of integers; 0 of none.")
bitwise_xor = _plain("xor", "bitwise_xor", "The bitwise exclusive or of integers; 0 of none.")
nansum = _total("sum", "nansum", "The exact sum without NaN.", _SKIP + _WIDE, True)
nanmean = _average("mean", "nanmean", "The exact mean without NaN.", _SKIP + _DTYPE, True)
nanprod = _total("prod", "nanprod", "The product without NaN.", _SKIP + _WIDE + _TREE, True)
nanvar = _spread("var", "nanvar", "The exact variance without NaN.", _SKIP + _DDOF, True)
nanstd = _spread("std", "nanstd", "The exact standard deviation without NaN.", _SKIP + _DDOF, True)
nanmin = _extreme("min", "nanmin", "The smallest element that is not NaN.", _SKIP + _ALL_NAN, True)
nanmax = _extreme("max", "nanmax", "The largest element that is not NaN.", _SKIP + _ALL_NAN, True)
nanargmin = _plain("argmin", "nanargmin", "The index of the first smallest element that is not NaN.", _SKIP + "A ValueError of nothing else.", True)
nanargmax = _plain("argmax", "nanargmax", "The index of the first largest element that is not NaN.", _SKIP + "A ValueError of nothing else.", True)


def vdot(a, b, dtype=None, *, comm=None):
    """The exact sum of the products of the elements at equal places, rounded once.

    a, b: arrays of one shape and type; not files. dtype, comm: as those of sum.

    Returns a NumPy scalar. Raises ValueError for different shapes, and TypeError for
    different types and for bool.
    """
    a, b = _array(a), _array(b)
    if a.shape != b.shape:
        raise ValueError(f"arrays of shapes {a.shape} and {b.shape}; vdot takes equal ones")
    if a.dtype.newbyteorder("=") != b.dtype.newbyteorder("="):
        raise TypeError(f"arrays of {a.dtype} and {b.dtype}; convert one with astype")
    how = types.SimpleNamespace(second=b, initial=None, excluded=None, comm=comm)
    return _adsum.reduce("dot", a, None, False, dtype_name(dtype), 0, False, how)


def _quantiles(x, q, axis, method, keepdims, dtype, skip_nan, comm, device, progress):
    shares = numpy.asarray(q, float)
    source, are_files = _source(x, device, progress)
    dtype = dtype_name(dtype)
    each = shares.ravel().tolist()
    if axis is None:
        like = _LIKE if are_files else source
        found = _adsum.quantiles(source, each, method, skip_nan, dtype, like, comm)
        kept = (1,) * source.ndim if keepdims and not are_files else ()
    elif are_files or comm is not None:
        raise NotImplementedError("quantiles along an axis of files or with comm=; use 'adsum quantile --axis'")
    else:
        found = _along(source, _axes(axis), keepdims, each, method, skip_nan, dtype)
        kept = found.shape[1:]
    return found.reshape(shares.shape + kept)[()]


def _along(x, axes, keepdims, shares, method, skip_nan, dtype):
    length = numpy.prod([x.shape[axis] for axis in axes], dtype=numpy.int64)
    if length <= _adsum.ALONG_MAX:
        return _adsum.quantiles_along(x, axes, keepdims, shares, method, skip_nan, dtype)
    # Too many to be kept: one result after the other, each in several passes.
    moved = numpy.moveaxis(x, axes, range(-len(axes), 0))
    places = moved.shape[: moved.ndim - len(axes)]
    found = [_adsum.quantiles(moved[place], shares, method, skip_nan, dtype, x, None) for place in numpy.ndindex(places)]
    kept = numpy.stack(found, axis=-1).reshape(len(shares), *places)
    return numpy.expand_dims(kept, [axis % x.ndim + 1 for axis in axes]) if keepdims else kept


_QUANTILES = """
    q: {what}, or several as an array, whose axes come first in the result.
    method: "linear", "lower", "higher", "midpoint" or "nearest", as NumPy names them.
    dtype: the type of the result: by default that of the elements, but float64 where the
        method makes new numbers of integers.
{common}{places}

    Raises ValueError for q out of range. An exact position is used, and one rounding;
    docs/numerics.md has the differences from NumPy.{more}
    """


def _quantile(name, what, scale, unit, skip_nan=False):
    def function(
        x, q, axis=None, *, method="linear", keepdims=False, dtype=None, comm=None, device=None, progress=None
    ):
        shares = numpy.true_divide(q, scale)
        return _quantiles(x, shares, axis, method, keepdims, dtype, skip_nan, comm, device, progress)

    _named(function, name, what, "")
    more = "\n    " + _SKIP if skip_nan else ""
    function.__doc__ = what + "\n" + _QUANTILES.format(what=unit, common=_COMMON[1:], places=_PLACES, more=more)
    return function


def _median(name, what, more, skip_nan=False):
    def function(x, axis=None, *, keepdims=False, dtype=None, comm=None, device=None, progress=None):
        return _quantiles(x, 0.5, axis, "linear", keepdims, dtype, skip_nan, comm, device, progress)

    return _named(function, name, what, more)


quantile = _quantile("quantile", "Exact quantiles, each rounded once.", 1, "a share from 0 to 1")
percentile = _quantile("percentile", "Exact percentiles, each rounded once.", 100, "a share from 0 to 100")
nanquantile = _quantile("nanquantile", "Exact quantiles without NaN.", 1, "a share from 0 to 1", True)
nanpercentile = _quantile("nanpercentile", "Exact percentiles without NaN.", 100, "a share from 0 to 100", True)
median = _median("median", "The exact median, rounded once.", "NaN if there is one.")
nanmedian = _median("nanmedian", "The exact median without NaN.", _SKIP, True)


def edges_of(bins, range):
    """The number of bins and the edges that NumPy's arguments say."""
    if isinstance(bins, str):
        raise NotImplementedError(f"bins={bins!r}; give their number, or the edges")
    if numpy.ndim(bins) == 0:
        return bins.__index__(), None, None if range is None else tuple(map(float, range))
    return 0, numpy.asarray(bins, float).tolist(), None


def histogram_of(found, bins):
    """NumPy's pair of what was counted."""
    counts, edges, dtype, _ = found
    edges = numpy.asarray(bins) if numpy.ndim(bins) else numpy.array(edges, dtype)
    return numpy.array(counts, numpy.int64), edges


def histogram(x, bins=10, range=None, *, skip_nan=False, comm=None, device=None, progress=None):
    """The numbers of elements between edges, each element compared exactly.

    x, comm, device, progress: as those of sum.
    bins: the number of bins, or their edges in order.
    range: where equal bins begin and end, a pair; by default from the smallest to the
        largest element, for which NaN are a ValueError unless skip_nan leaves them out.

    Returns a pair: an array of int64, and the edges, one more.
    """
    source, _ = _source(x, device, progress)
    count, edges, ends = edges_of(bins, range)
    return histogram_of(_adsum.histogram(source, count, edges, ends, skip_nan, comm), bins)


class Stats(NamedTuple):
    """A summary of elements; NaN where something does not exist."""

    elements: int
    nan: int
    min: float
    q25: float
    median: float
    q75: float
    max: float
    mean: float
    std: float
    sum: float
    l2: float


def stats_of(summary, quartiles):
    """A summary of what one pass found, and the quartiles."""
    count, nan, low, high, mean, std, total, norm = summary
    return Stats(count, nan, low, *map(float, quartiles), high, mean, std, total, norm)


def stats(x, *, skip_nan=False, comm=None, device=None, progress=None):
    """A summary: elements, NaN, extremes, quartiles, mean, standard deviation, sum and norm.

    x, comm, device, progress: as those of sum. skip_nan: NaN count as elements that are not
    there.

    Returns a Stats, a named tuple of two ints and floats, each exact and rounded once to
    float64.
    """
    source, _ = _source(x, device, progress)
    quartiles = _adsum.quantiles(source, [0.25, 0.5, 0.75], "linear", skip_nan, "float64", _LIKE, comm)
    return stats_of(_adsum.summary(source, skip_nan, comm), quartiles)
