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
module of groups of processes; ``Cluster`` is a running cluster of nodes.
"""

from ._adsum import GroupError, Partial, __version__
from ._errors import (
    AdsumError, ClusterError, DataError, DeadlineError, IdentityError, IncompleteError,
    PartialResultWarning, UnreachableError,
)
from ._functions import (
    Stats, all, any, argmax, argmin, bitwise_and, bitwise_or, bitwise_xor, count_nonzero, histogram, l1, l2,
    linf, max, mean, median, min, minmax, nanargmax, nanargmin, nanmax, nanmean, nanmedian, nanmin,
    nanpercentile, nanprod, nanquantile, nanstd, nansum, nanvar, percentile, prod, quantile, stats, std, sum,
    sumsq, var, vdot,
)

# Loaded when they are first named.
_LATER = {"Cluster": "._cluster", "MPI": ".MPI"}

__all__ = [
    "AdsumError", "Cluster", "ClusterError", "DataError", "DeadlineError", "GroupError", "IdentityError",
    "IncompleteError", "MPI", "Partial", "PartialResultWarning", "Stats", "UnreachableError", "all", "any",
    "argmax", "argmin", "bitwise_and", "bitwise_or", "bitwise_xor", "count_nonzero", "histogram", "l1", "l2",
    "linf", "max", "mean", "median", "min", "minmax", "nanargmax", "nanargmin", "nanmax", "nanmean",
    "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar",
    "percentile", "prod", "quantile", "stats", "std", "sum", "sumsq", "var", "vdot",
]


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"module 'adsum' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(_LATER[name], __name__)
    return module if name == "MPI" else getattr(module, name)
