"""What initial= and where= change about a reduction."""

import functools
import math
import operator

import numpy


def initial_of(op, own, initial, dtype):
    """The initial element, in the type of the elements or a wider one; and what a product of
    floats is to be multiplied with instead."""
    if numpy.ndim(initial):
        raise TypeError(f"initial= is one number, not {initial!r}")
    result = own.newbyteorder("=")
    if dtype is not None:
        result = numpy.dtype(dtype)
    elif op in ("sum", "prod") and result.kind in "biu":
        result = numpy.add.reduce(numpy.empty(0, result)).dtype
    value = numpy.asarray(result.type(initial))
    if result.kind in "biu" and value != initial:
        raise ValueError(f"initial={initial!r} is no {result}, the type of the result; say dtype=float, or round it")
    if op == "prod" and result.kind not in "biu":
        return None, value
    with numpy.errstate(all="ignore"):
        same = value.astype(own)
    # NaN is equal to nothing, and an integer has none.
    if same == value or (value != value and own.kind not in "biu"):
        return same, None
    return (value if result.kind in "biu" else value.astype(float)), None


def neutral_of(op, own, skip_nan, initial):
    """What is reduced in the place of elements that are left out."""
    if op in ("min", "max"):
        if initial is None:
            raise ValueError(f"{op} has no identity, so that where= needs initial=")
        return initial
    if skip_nan and own.kind == "f":
        return own.type(numpy.nan)
    return own.type({"prod": 1, "all": 1}.get(op, 0))


def booleans_of(where):
    where = numpy.asarray(where)
    if where.dtype != bool:
        raise TypeError(f"where= is of {where.dtype}, not of bool; say where.astype(bool), or make a mask of indices")
    return where


def with_axes(where, ndim):
    return where.reshape((1,) * (ndim - where.ndim) + where.shape)


def excluded_of(where, shape, axes):
    """How many elements of each output are left out."""
    numpy.broadcast_to(where, shape)
    where = with_axes(where, len(shape))
    counts = numpy.count_nonzero(~where, axis=axes, keepdims=True)
    axes = range(len(shape)) if axes is None else [axis % len(shape) for axis in axes]
    repeats = math.prod(shape[axis] for axis in axes if where.shape[axis] == 1)
    kept = [1 if axis in axes else length for axis, length in enumerate(shape)]
    return numpy.ravel(numpy.broadcast_to(counts * repeats, kept))


def of_all_ranks(excluded, comm):
    """What all ranks leave out together."""
    counts = [counts for counts in comm.allgather(excluded) if counts is not None]
    if len({one.size for one in counts}) > 1:
        raise ValueError("the ranks have results of different shapes; give all ranks the same axes")
    return functools.reduce(operator.add, counts) if counts else None
