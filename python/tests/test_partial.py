"""Partials: merged in any order, carried as bytes and as int64."""

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import adsum
from adsum import Partial

values = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20)


@settings(max_examples=150, deadline=None)
@given(values, values)
def test_merging_is_reducing_the_whole(a, b):
    whole = Partial.from_array(np.array(a + b, float))
    first, second = Partial.from_array(np.array(a, float)), Partial.from_array(np.array(b, float))
    assert first + second == second + first == sum([first, second]) == whole
    assert (first + second).to_bytes() == whole.to_bytes()
    assert whole - second == first
    assert Partial.from_bytes(whole.to_bytes(), "sum") == pickle.loads(pickle.dumps(whole)) == copy.copy(whole) == whole
    words = first.to_int64() + second.to_int64()
    assert words.dtype == np.int64 and words.shape == (73,)
    assert Partial.from_int64(words) == whole
    exact = sum(map(Fraction, a + b), Fraction(0))
    try:
        assert whole.finish() == float(exact)
    except OverflowError:
        assert np.isinf(whole.finish())


@pytest.mark.parametrize("op", ["sum", "mean", "var", "std", "min", "max", "prod", "l2", "all", "count_nonzero"])
def test_every_operation_of_parts_is_that_of_the_whole(op):
    x = np.linspace(-1, 2, 101)
    parts = [Partial.from_array(x[:37], op), Partial.from_array(x[37:], op, start=37)]
    whole = pickle.loads(pickle.dumps(parts[1])) + parts[0]
    assert whole.finish() == getattr(adsum, op)(x) and whole.op == op


def test_places_count_where_they_must():
    x = np.array([3.0, 1.0, 9.0, 9.0])
    parts = [Partial.from_array(x[2:], "argmax", start=2), Partial.from_array(x[:2], "argmax")]
    assert sum(parts).finish() == 2


def test_a_partial_says_what_it_holds():
    partial = Partial.from_array(np.ones((3, 4), "f4"), "mean")
    assert repr(partial) == "<adsum.Partial: mean of 12 float32 elements>"
    assert (partial.elements, partial.dtype, partial.op) == (12, "float32", "mean")
    assert partial.finish() == 1 and partial.finish("sum") == 12 and partial.finish("sum", dtype="float64").dtype == float
    bare = Partial.from_bytes(partial.to_bytes())
    assert bare == partial and hash(bare) == hash(partial) and bare.op is None and "'sum', 'mean'" in repr(bare)
    with pytest.raises(ValueError, match="say which"):
        bare.finish()
    assert bare.finish("mean") == 1


def test_what_does_not_fit_is_refused():
    one, other = Partial.from_array([1.0]), Partial.from_array(np.float32([1]))
    with pytest.raises(ValueError, match="float32"):
        one + other
    with pytest.raises(TypeError):
        one + 3
    for op in ["median", "histogram", "minmax", "nonsense"]:
        with pytest.raises(ValueError):
            Partial.from_array([1.0], op)
    with pytest.raises(TypeError, match="complex128"):
        Partial.from_array([1j])
    with pytest.raises(ValueError):
        one.finish("max")
    with pytest.raises(ValueError):
        Partial.from_array([], "max").finish()
    with pytest.raises(ValueError):
        Partial.from_array([1.0], "max").to_int64()
    data = one.to_bytes()
    for bad in [b"", data[:-1], data + b"x", b"\xff" + data[1:]]:
        with pytest.raises(ValueError):
            Partial.from_bytes(bad)
    with pytest.raises(ValueError):
        Partial.from_int64([1, 2, 3])
