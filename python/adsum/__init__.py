"""Exact reductions over arrays: sums that are rounded once.

>>> import numpy, adsum
>>> x = numpy.array([1e16, 1.0, -1e16])
>>> float(numpy.sum(x)), float(adsum.sum(x))
(0.0, 1.0)

Functions take NumPy arrays of any layout, which are read where they lie with the GIL
released, and have NumPy's names, signatures and result types. Results do not depend
on threads, layout or order, and are those of the command line. Elements are bool,
int8 to int64, uint8 to uint64, float16, float32 or float64; everything else is a
TypeError. ``Partial`` is the state of a reduction, to be merged elsewhere; ``MPI`` is a
module of groups of processes.
"""

import os as _os

import numpy as _numpy

from . import _adsum
from ._adsum import GroupError, Partial as Partial, __version__

__all__ = [
    "GroupError", "MPI", "Partial", "all", "any", "argmax", "argmin", "bitwise_and", "bitwise_or",
    "bitwise_xor", "count_nonzero", "l1", "l2", "linf", "max", "mean", "min", "minmax", "nanargmax",
    "nanargmin", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar", "prod", "std",
    "sum", "sumsq", "var", "vdot",
]

_ndarray = _numpy.ndarray


def __getattr__(name):
    if name == "MPI":
        import importlib

        return importlib.import_module(".MPI", __name__)
    raise AttributeError(f"module 'adsum' has no attribute {name!r}")


def _paths(x):
    """The paths that x is, or None if it is data."""
    if isinstance(x, (str, _os.PathLike)):
        return [_os.fspath(x)]
    if isinstance(x, (list, tuple)) and x and isinstance(x[0], (str, _os.PathLike)):
        return [_os.fspath(path) for path in x]
    return None


def _array(x):
    if isinstance(x, _ndarray):
        if isinstance(x, _numpy.ma.MaskedArray):
            raise TypeError("a masked array: reduce x.compressed(), or x.filled(...)")
        return x
    return _numpy.asarray(x)


def _dtype(dtype):
    return None if dtype is None else _numpy.dtype(dtype).name


def _reduce(op, x, axis=None, keepdims=False, dtype=None, ddof=0, skip_nan=False):
    paths = _paths(x)
    if paths is None:
        if axis is not None and not isinstance(axis, int):
            axis = tuple(axis) if isinstance(axis, (tuple, list)) else axis.__index__()
        axes = axis if axis is None or isinstance(axis, tuple) else (axis,)
        return _adsum.reduce(op, _array(x), axes, keepdims, _dtype(dtype), ddof, skip_nan)
    if axis is not None or keepdims:
        raise NotImplementedError("axis= and keepdims= of files; use numpy.load(path, mmap_mode='r')")
    return _adsum.reduce_files(op, paths, _dtype(dtype), ddof, skip_nan, _numpy.empty(0))


_COMMON = """
    x: an array of any shape and layout, anything that numpy.asarray takes, or files: the path
        of a .npy file, a glob ("data/*.npy"), or a list of them, whose elements count one
        after the other.
    axis: an int, a tuple of ints, or None for all elements together; not for files.
    keepdims: keep reduced axes with length 1.

    Returns a NumPy scalar, or an array of the shape of the axes that are kept. Raises
    TypeError for elements that adsum does not take, numpy.exceptions.AxisError, and OSError for
    files that cannot be read."""


def _document(function, what, more=""):
    text = f"{what}{_COMMON}"
    function.__doc__ = f"{text}\n\n    {more}\n    " if more else f"{text}\n    "
    return function


def _rounded(op, name, what, more="", skip_nan=False):
    def function(x, axis=None, dtype=None, *, keepdims=False):
        return _reduce(op, x, axis, keepdims, dtype, 0, skip_nan)

    return _named(function, name, what, more)


def _spread(op, name, what, more="", skip_nan=False):
    def function(x, axis=None, dtype=None, *, ddof=0, keepdims=False):
        return _reduce(op, x, axis, keepdims, dtype, ddof, skip_nan)

    return _named(function, name, what, more)


def _plain(op, name, what, more="", skip_nan=False):
    def function(x, axis=None, *, keepdims=False):
        return _reduce(op, x, axis, keepdims, None, 0, skip_nan)

    return _named(function, name, what, more)


def _named(function, name, what, more):
    function.__name__ = function.__qualname__ = name
    return _document(function, what, more)


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

sum = _rounded("sum", "sum", "The exact sum, rounded once to nearest even.", _WIDE)
mean = _rounded("mean", "mean", "The exact mean, rounded once.", _DTYPE + "\n    NaN, with a RuntimeWarning, of no elements.")
prod = _rounded(
    "prod", "prod", "The product: of integers exact, of floats along a perfect binary tree.",
    _WIDE + " A product of floats is the same for all divisions of its\n    elements, but not correctly rounded.",
)
var = _spread("var", "var", "The exact variance, rounded once.", _DDOF)
std = _spread("std", "std", "The exact standard deviation, rounded once.", _DDOF)
l1 = _rounded("l1", "l1", "The exact sum of magnitudes, rounded once.", _DTYPE)
l2 = _rounded("l2", "l2", "The root of the exact sum of squares, rounded once.", _DTYPE)
linf = _rounded("linf", "linf", "The largest magnitude; 0 of no elements.", _DTYPE)
sumsq = _rounded("sumsq", "sumsq", "The exact sum of squares, rounded once.", _WIDE)
min = _plain("min", "min", "The smallest element.", _EMPTY)
max = _plain("max", "max", "The largest element.", _EMPTY)
minmax = _plain("minmax", "minmax", "The smallest and the largest element, a pair of results, in one pass.", _EMPTY)
argmin = _plain("argmin", "argmin", "The index of the first smallest element.", _EMPTY + "\n    Over several axes the index is that in C order of their elements.")
argmax = _plain("argmax", "argmax", "The index of the first largest element.", _EMPTY + "\n    Over several axes the index is that in C order of their elements.")
any = _plain("any", "any", "Whether any element is not zero; NaN is not.")
all = _plain("all", "all", "Whether no element is zero; NaN is not.")
count_nonzero = _plain("count_nonzero", "count_nonzero", "The number of elements that are not zero.")
bitwise_and = _plain("and", "bitwise_and", "The bitwise and of integers; all bits of none.")
bitwise_or = _plain("or", "bitwise_or", "The bitwise or of integers; 0 of none.")
bitwise_xor = _plain("xor", "bitwise_xor", "The bitwise exclusive or of integers; 0 of none.")
nansum = _rounded("sum", "nansum", "The exact sum without NaN.", _SKIP + _WIDE, True)
nanmean = _rounded("mean", "nanmean", "The exact mean without NaN.", _SKIP + _DTYPE, True)
nanprod = _rounded("prod", "nanprod", "The product without NaN.", _SKIP + _WIDE, True)
nanvar = _spread("var", "nanvar", "The exact variance without NaN.", _SKIP + _DDOF, True)
nanstd = _spread("std", "nanstd", "The exact standard deviation without NaN.", _SKIP + _DDOF, True)
nanmin = _plain("min", "nanmin", "The smallest element that is not NaN.", _SKIP + "NaN of nothing else, with a\n    RuntimeWarning.", True)
nanmax = _plain("max", "nanmax", "The largest element that is not NaN.", _SKIP + "NaN of nothing else, with a\n    RuntimeWarning.", True)
nanargmin = _plain("argmin", "nanargmin", "The index of the first smallest element that is not NaN.", _SKIP + "A ValueError of nothing else.", True)
nanargmax = _plain("argmax", "nanargmax", "The index of the first largest element that is not NaN.", _SKIP + "A ValueError of nothing else.", True)


def vdot(a, b, dtype=None):
    """The exact sum of the products of the elements at equal places, rounded once.

    a, b: arrays of one shape and type; not files. dtype: as that of sum.

    Returns a NumPy scalar. Raises ValueError for different shapes, and TypeError for
    different types and for bool.
    """
    a, b = _array(a), _array(b)
    if a.shape != b.shape:
        raise ValueError(f"arrays of shapes {a.shape} and {b.shape}; vdot takes equal ones")
    if a.dtype.newbyteorder("=") != b.dtype.newbyteorder("="):
        raise TypeError(f"arrays of {a.dtype} and {b.dtype}; convert one with astype")
    return _adsum.reduce("dot", a, None, False, _dtype(dtype), 0, False, b)
