"""Reductions with NumPy's names and signatures."""

import types
from typing import NamedTuple

import numpy

from . import _adsum
from ._extra import booleans_of, excluded_of, initial_of, neutral_of, of_all_ranks, with_axes
from ._sources import all_of, axes_of, dtype_name, goes_to_processors, held, side_by_side, source_of

_LIKE = numpy.empty(0)


def _reduce(
    op, x, axis=None, keepdims=False, dtype=None, ddof=0, skip_nan=False,
    initial=None, where=True, comm=None, device=None, progress=None,
):
    source, are_files = source_of(x, device, progress)
    axes = axes_of(axis)
    is_plain = comm is None and device is None and progress is None
    goes = not is_plain and not are_files and goes_to_processors(device, progress, comm)
    if not are_files and not goes and initial is None and where is True and comm is None:
        return _adsum.reduce(op, source, axes, keepdims, dtype_name(dtype), ddof, skip_nan)
    how = types.SimpleNamespace(second=None, initial=None, included=None, neutral=0, excluded=None, comm=comm)
    own, factor = numpy.dtype(source.dtype), None
    if initial is not None:
        how.initial, factor = initial_of(op, own, initial, dtype)
    if where is not True:
        neutral = neutral_of(op, own, skip_nan, how.initial)
        where = booleans_of(where)
        if op in ("mean", "var", "std") and neutral == 0:
            how.excluded = excluded_of(where, source.shape, axes)
        if are_files:
            numpy.broadcast_to(where, source.shape)
            # Not by ascontiguousarray, which gives an array without axes one.
            how.included = numpy.asarray(with_axes(where, len(source.shape)), order="C")
            how.neutral = int.from_bytes(neutral.astype(own.newbyteorder("<")).tobytes(), "little")
        else:
            source = numpy.where(numpy.broadcast_to(where, source.shape), source, neutral)
    names = dtype_name(dtype), ddof, skip_nan
    if are_files:
        result = _adsum.reduce_files(op, source, axes, keepdims, *names, _LIKE, how)
    elif goes:
        if comm is not None and op in ("mean", "var", "std"):
            how.excluded = of_all_ranks(how.excluded, comm)
        source, axes, moved = side_by_side(source, axes)
        files, keeps = held(source, device, progress, axes), keepdims and moved is None
        result = _adsum.reduce_files(op, files, axes, keeps, *names, source, how)
        if keepdims and moved is not None:
            result = _expanded(result, moved)
    else:
        result = _adsum.reduce(op, source, axes, keepdims, *names, how)
    return result if factor is None else numpy.multiply(result, factor, dtype=result.dtype)[()]


def _expanded(result, places):
    """A result, or a pair of them, with the axes that keepdims keeps."""
    if isinstance(result, tuple):
        return tuple(numpy.expand_dims(one, places) for one in result)
    return numpy.expand_dims(result, places)


_COMMON = """
    x: an array of any shape and layout, a CPU tensor with DLPack, anything that numpy.asarray
        takes, or files: the path of a .npy file, a glob ("data/*.npy"), or a list of them,
        whose elements count one after the other.
    axis: an int, a tuple of ints, or None for all elements together, of files of any shapes.
        Else files are joined along their first axis. Of files, axes that do not lie side by
        side take memory for all results, some hundred bytes each.
    keepdims: keep reduced axes with length 1."""
_INITIAL = """
    initial: one more element that each result has. It is rounded to the type of the result, and
        must be a number of it where that is an integer."""
_WHERE = """
    where: booleans that broadcast to the shape of x; elements at False are left out. It takes a
        copy of x, of files one of itself."""
_PLACES = """
    comm: a communicator, as adsum.MPI.COMM_WORLD: the result is that of the arrays of all its
        ranks, one after the other in order of ranks along the reduced axes, and all ranks have
        the same bits. Of files each rank reduces its share, so that each element counts once;
        all ranks give the same files, where and initial.
    device: which processors reduce: "auto", "cpu", "gpu", "gpu:0", a part of a name, or a list
        of them. Without it files have "auto", and arrays the CPU. With comm= each rank has its
        own; what some ranks do not say is "cpu" there.
    progress: called with the bytes that are done and all bytes of a pass.

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
_WRAPS = _DTYPE + "Integers past 64 bits wrap as NumPy's do, with a\n    RuntimeWarning"
_WIDE = _WRAPS + "; dtype=float rounds the exact result instead."
_DDOF = _DTYPE + "\n    ddof: what is taken from the number of elements before it divides. NaN, with a\n    RuntimeWarning, where nothing is left."
_EMPTY = "No elements are a ValueError. NaN wins, and -0 is less than 0."
_SKIP = "NaN count as elements that are not there. "
_TREE = (
    " A product of floats is the same for all divisions of its\n    elements, but not correctly rounded;"
    " elements that are left out count as 1 in it, and initial\n    is multiplied last. Of files it is"
    " not along several axes, unless they lie side by side in C order."
)
_ORDER = "\n    Over several axes the index is that in C order of their elements."
_ALL_NAN = "NaN of nothing else, with a\n    RuntimeWarning."

sum = _total("sum", "sum", "The exact sum, rounded once to nearest even.", _WIDE)
mean = _average("mean", "mean", "The exact mean, rounded once.", _DTYPE + "\n    NaN, with a RuntimeWarning, of no elements.")
prod = _total("prod", "prod", "The product: of integers exact, of floats along a perfect binary tree.", _WRAPS + ". " + _TREE)
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
nanprod = _total("prod", "nanprod", "The product without NaN.", _SKIP + _WRAPS + ". " + _TREE, True)
nanvar = _spread("var", "nanvar", "The exact variance without NaN.", _SKIP + _DDOF, True)
nanstd = _spread("std", "nanstd", "The exact standard deviation without NaN.", _SKIP + _DDOF, True)
nanmin = _extreme("min", "nanmin", "The smallest element that is not NaN.", _SKIP + _ALL_NAN, True)
nanmax = _extreme("max", "nanmax", "The largest element that is not NaN.", _SKIP + _ALL_NAN, True)
nanargmin = _plain("argmin", "nanargmin", "The index of the first smallest element that is not NaN.", _SKIP + "A ValueError of nothing else.", True)
nanargmax = _plain("argmax", "nanargmax", "The index of the first largest element that is not NaN.", _SKIP + "A ValueError of nothing else.", True)


def vdot(a, b, dtype=None, *, comm=None, device=None, progress=None):
    """The exact sum of the products of the elements at equal places, rounded once.

    a, b: arrays of one shape and type; or files of one type, each a path, a glob or a list
        of them, which have one shape or, of several, as many elements in all. dtype, comm,
        device, progress: as those of sum.

    Returns a NumPy scalar. Raises ValueError for different shapes, and TypeError for
    different types and for bool.
    """
    a, are_files = source_of(a, device, progress)
    b, both_files = source_of(b, device, progress)
    if are_files != both_files:
        raise TypeError("files and an array; vdot takes two arrays, or files of both")
    if numpy.dtype(a.dtype).newbyteorder("=") != numpy.dtype(b.dtype).newbyteorder("="):
        raise TypeError(f"elements of {a.dtype} and {b.dtype}; convert one with astype")
    if are_files:
        return _adsum.dot_of_files(a, b, dtype_name(dtype), _LIKE, comm)
    if a.shape != b.shape:
        raise ValueError(f"arrays of shapes {a.shape} and {b.shape}; vdot takes equal ones")
    if goes_to_processors(device, progress, comm):
        # Both in C order, so that equal places are equal elements.
        a, b = (held(numpy.asarray(one, order="C"), device, progress) for one in (a, b))
        return _adsum.dot_of_files(a, b, dtype_name(dtype), _LIKE, comm)
    how = types.SimpleNamespace(second=b, initial=None, excluded=None, comm=comm)
    return _adsum.reduce("dot", a, None, False, dtype_name(dtype), 0, False, how)


def _quantiles(x, q, axis, method, keepdims, dtype, skip_nan, comm, device, progress):
    shares = numpy.asarray(q, float)
    source, are_files = source_of(x, device, progress)
    how = (shares.ravel().tolist(), method, skip_nan, dtype_name(dtype))
    axes = axes_of(axis)
    if are_files:
        found = _adsum.quantiles_of_files(source, axes, keepdims, *how, _LIKE, comm)
    elif goes_to_processors(device, progress, comm):
        source, axes, moved = side_by_side(source, axes)
        files, keeps = held(source, device, progress, axes), keepdims and moved is None
        found = _adsum.quantiles_of_files(files, axes, keeps, *how, _LIKE, comm)
        if keepdims and moved is not None:
            found = numpy.expand_dims(found, [place + 1 for place in moved])
    elif axes is not None:
        found = _adsum.quantiles_along(source, axes, keepdims, *how, comm)
        if found is None:
            found = _one_by_one(source, axes, keepdims, how, comm)
    else:
        found = _adsum.quantiles(source, *how, source, comm)
        found = found.reshape(-1, *(1,) * source.ndim) if keepdims else found
    return found.reshape(shares.shape + found.shape[1:])[()]


def _one_by_one(x, axes, keepdims, how, comm):
    """Quantiles along axes with too many elements for all to be kept: each in several passes."""
    moved = numpy.moveaxis(x, axes, range(-len(axes), 0))
    places = moved.shape[: moved.ndim - len(axes)]
    found = [_adsum.quantiles(moved[place], *how, x, comm) for place in numpy.ndindex(places)]
    kept = numpy.stack(found, axis=-1).reshape(-1, *places)
    return numpy.expand_dims(kept, [axis % x.ndim + 1 for axis in axes]) if keepdims else kept


_QUANTILES = """
    q: {what}, or several as an array, whose axes come first in the result.
    method: "linear", "lower", "higher", "midpoint" or "nearest", as NumPy names them. Along axes
        with comm= each rank takes memory for the elements of all, if up to 65,536 reduce to one;
        so do axes of files that do not lie side by side, and several of those on the right.
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
    source = all_of(x, device, progress, comm)
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
    source = all_of(x, device, progress, comm)
    quartiles = _adsum.quantiles(source, [0.25, 0.5, 0.75], "linear", skip_nan, "float64", _LIKE, comm)
    return stats_of(_adsum.summary(source, skip_nan, comm), quartiles)
