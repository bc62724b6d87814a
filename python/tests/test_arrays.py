"""Reductions of arrays and files, against fractions and NumPy."""

import ast
import math
import pathlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst

import adsum

FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def rounded(fraction, dtype):
    """A fraction to the nearest float of the type, ties to even, by comparing neighbours."""
    with np.errstate(over="ignore"):
        near = np.dtype(dtype).type(float(fraction)) if abs(fraction) < 10**308 else None
    if near is None or not np.isfinite(near):
        return None
    with np.errstate(over="ignore", under="ignore"):
        candidates = [np.nextafter(near, near.dtype.type(side * np.inf)) for side in (-1, 1)] + [near]
    candidates = [one for one in candidates if np.isfinite(one)]
    width = {2: "u2", 4: "u4", 8: "u8"}[near.dtype.itemsize]
    return min(candidates, key=lambda one: (abs(Fraction(float(one)) - fraction), int(one.view(width)) & 1))


def layouts(x):
    """The same elements lying in other ways."""
    spaced = np.zeros((2,) + x.shape, x.dtype)
    spaced[1] = x
    yield x
    yield np.asfortranarray(x)
    yield x.astype(x.dtype.newbyteorder(">"))
    yield np.moveaxis(np.stack([x, x], axis=-1)[..., 1], 0, 0)
    yield spaced[1]
    backwards = np.ascontiguousarray(x[::-1])[::-1]
    backwards.flags.writeable = False
    yield backwards


arrays = st.sampled_from(FLOATS).flatmap(
    lambda dtype: npst.arrays(
        dtype,
        npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6),
        elements=st.floats(-1000, 1000, width=np.dtype(dtype).itemsize * 8),
    )
)


@settings(max_examples=150, deadline=None)
@given(arrays, st.data())
def test_sums_of_floats_are_exact_sums_rounded_once(x, data):
    axis = data.draw(st.sampled_from([None, *range(-x.ndim, x.ndim), tuple(range(x.ndim))]))
    keepdims = data.draw(st.booleans())
    exact = np.vectorize(lambda one: Fraction(float(one)), otypes=[object])(x) if x.size else x.astype(object)
    wanted = np.asarray(np.sum(exact, axis=axis, keepdims=keepdims, initial=Fraction(0)), dtype=object)
    for lying in layouts(x):
        got = adsum.sum(lying, axis=axis, keepdims=keepdims)
        assert got.dtype == x.dtype
        assert np.shape(got) == wanted.shape
        for one, fraction in zip(np.ravel(got), wanted.ravel()):
            nearest = rounded(fraction, x.dtype)
            assert nearest is None or one == nearest


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(INTEGERS + ["bool"]).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(max_dims=3, min_side=1, max_side=5))
    ),
    st.data(),
)
def test_integers_are_those_of_numpy(x, data):
    axis = data.draw(st.sampled_from([None, *range(x.ndim)]))
    keepdims = data.draw(st.booleans())
    for name in ["sum", "prod", "min", "max", "any", "all", "count_nonzero", "argmin", "argmax"]:
        for lying in layouts(x):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                got = getattr(adsum, name)(lying, axis=axis, keepdims=keepdims)
                wanted = getattr(np, name)(x, axis=axis, keepdims=keepdims)
            assert np.array_equal(got, wanted), name
            assert np.shape(got) == np.shape(wanted), name
            # NumPy's default integer is not 64 bits wide everywhere.
            assert np.asarray(got).dtype.kind == np.asarray(wanted).dtype.kind, name


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(0, 2))
def test_means_and_variances_are_exact_ratios_rounded_once(values, ddof):
    x = np.array(values)
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    assert adsum.mean(x) == float(mean)
    if len(values) > ddof:
        variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - ddof)
        assert adsum.var(x, ddof=ddof) == float(variance)
        assert adsum.std(x, ddof=ddof) == pytest.approx(math.sqrt(float(variance)), rel=1e-15)


def test_a_large_array_is_the_same_for_all_layouts():
    x = np.random.default_rng(1).standard_normal((1000, 3000)) * 1e10
    assert adsum.sum(x) == math.fsum(x.ravel())
    assert adsum.sum(x.T) == adsum.sum(x[::-1, ::-1]) == adsum.sum(np.asfortranarray(x)) == adsum.sum(x)
    for axis in [0, 1]:
        wanted = [math.fsum(row) for row in np.moveaxis(x, axis, -1)]
        assert np.array_equal(adsum.sum(x, axis=axis), wanted)
    assert np.array_equal(adsum.argmax(x, axis=0), np.argmax(x, axis=0))
    assert adsum.argmax(x.T) == np.argmax(x.T)


def test_arrays_without_axes_or_elements():
    assert adsum.sum(np.float64(2.5)) == 2.5 and adsum.sum([1, 2, 3]) == 6
    assert adsum.sum(np.array(3.0)) == 3.0 and isinstance(adsum.sum(np.array(3.0)), np.float64)
    assert adsum.sum(np.zeros((0, 3))) == 0
    assert np.array_equal(adsum.sum(np.zeros((0, 3)), axis=0), np.zeros(3))
    assert adsum.sum(np.zeros((0, 3)), axis=1).shape == (0,)
    assert adsum.sum(np.ones((2, 3)), axis=()).shape == (2, 3)
    assert adsum.sum(np.broadcast_to(np.float32(0.5), (100, 100))) == 5000
    for name in ["min", "max", "argmin", "argmax", "minmax"]:
        with pytest.raises(ValueError, match="no elements"):
            getattr(adsum, name)(np.zeros(0))
    with pytest.warns(RuntimeWarning):
        assert np.isnan(adsum.mean([]))
    with pytest.warns(RuntimeWarning):
        assert np.isnan(adsum.var([1.0], ddof=1))


def test_nan_infinities_and_zeros():
    x = np.array([1.0, np.nan, -3.0])
    assert np.isnan(adsum.sum(x)) and adsum.nansum(x) == -2 and adsum.nanmean(x) == -1
    assert np.isnan(adsum.min(x)) and adsum.nanmin(x) == -3 and adsum.argmin(x) == 1 and adsum.nanargmin(x) == 2
    assert np.isnan(adsum.sum([np.inf, -np.inf])) and adsum.sum([np.inf, 1.0]) == np.inf
    assert math.copysign(1, adsum.sum([-0.0])) == 1 and math.copysign(1, adsum.min([0.0, -0.0])) == -1
    assert adsum.minmax(np.array([3, 1, 2])) == (1, 3)
    with pytest.warns(RuntimeWarning):
        assert np.isnan(adsum.nanmin([np.nan]))


def test_result_types_and_integers_past_64_bits():
    x = np.full(3, 2**63 - 1)
    with pytest.warns(RuntimeWarning, match="64 bits"):
        assert adsum.sum(x) == np.sum(x)
    assert adsum.sum(x, dtype=float) == float(3 * (2**63 - 1))
    half = np.full(5000, 100, np.float16)
    assert adsum.sum(half) == np.inf and adsum.sum(half, dtype="float32") == 500000
    with pytest.raises(TypeError, match="dtype"):
        adsum.sum(np.ones(3), dtype=np.int32)
    assert adsum.l1([-1.0, 2.0]) == 3 and adsum.l2([3.0, 4.0]) == 5 and adsum.linf([-7, 2]) == 7
    assert adsum.sumsq([3, 4]) == 25 and adsum.bitwise_xor([5, 3]) == 6
    assert adsum.vdot([1.0, 2.0], [3.0, 4.0]) == 11
    with pytest.raises(ValueError, match="shapes"):
        adsum.vdot([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    "x",
    [
        np.array([1, "a"], object), np.array(["1"]), np.array([b"1"]), np.array([1j]),
        np.array(["2020-01-01"], "M8[D]"), np.array([1], "m8[s]"), np.zeros(2, [("a", "f4")]),
        pytest.param(np.zeros(2, np.longdouble), marks=pytest.mark.skipif(
            np.dtype(np.longdouble).itemsize == 8, reason="long double is float64 here")),
    ],
    ids=lambda x: str(x.dtype),
)
def test_other_elements_are_refused_by_name(x):
    with pytest.raises(TypeError) as refused:
        adsum.sum(x)
    assert str(x.dtype) in str(refused.value) and "; " in str(refused.value)


def test_axes_that_there_are_not():
    for axis in [2, -3, (0, 5)]:
        with pytest.raises(np.exceptions.AxisError):
            adsum.sum(np.ones((2, 2)), axis=axis)
    with pytest.raises(ValueError, match="duplicate"):
        adsum.sum(np.ones((2, 2)), axis=(0, -2))
    with pytest.raises(TypeError, match="masked"):
        adsum.sum(np.ma.array([1.0], mask=[True]))


def test_threads_of_the_caller_do_not_meet():
    x = np.random.default_rng(2).standard_normal(500_000)
    wanted, found = math.fsum(x), []
    threads = [threading.Thread(target=lambda: found.append(adsum.sum(x))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 8


def test_files_and_arrays_have_the_bits_of_the_command_line(tmp_path, adsum_command):
    rng = np.random.default_rng(3)
    parts = [rng.standard_normal(1000).astype(np.float32) * np.float32(10) ** k for k in range(3)]
    for number, part in enumerate(parts):
        np.save(tmp_path / f"part{number}.npy", part)
    whole = np.concatenate(parts)
    pattern = str(tmp_path / "part*.npy")
    for name in ["sum", "mean", "var", "std", "l2", "prod", "min", "max", "argmin", "argmax", "count_nonzero"]:
        said = subprocess.run(
            [adsum_command, name, "--quiet", pattern],
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        wide = {"dtype": float} if name in ["sum", "mean", "var", "std", "l2", "prod"] else {}
        reduce = getattr(adsum, name)
        result = reduce(whole, **wide)
        assert type(result)(said) == result == reduce(pattern, **wide), name
    assert adsum.sum([tmp_path / "part0.npy", tmp_path / "part1.npy"]) == adsum.sum(whole[:2000])
    assert adsum.minmax(pattern) == (whole.min(), whole.max())


def test_files_that_cannot_be_had(tmp_path):
    with pytest.raises(OSError, match="none.npy"):
        adsum.sum(str(tmp_path / "none.npy"))
    np.save(tmp_path / "a.npy", np.ones((2, 2, 2)))
    with pytest.raises(np.exceptions.AxisError):
        adsum.sum(tmp_path / "a.npy", axis=3)
    with pytest.raises(NotImplementedError, match="side by side.*numpy.load"):
        adsum.prod(tmp_path / "a.npy", axis=(0, 2))


def test_everything_public_tells_of_itself_and_has_a_type():
    folder = pathlib.Path(adsum.__file__).parent
    assert (folder / "py.typed").exists()
    body = ast.parse((folder / "__init__.pyi").read_text()).body
    typed = {getattr(node, "name", None) for node in body}
    typed |= {name.asname for node in body if isinstance(node, ast.ImportFrom) for name in node.names}
    for name in adsum.__all__:
        assert (getattr(adsum, name).__doc__ or "").strip(), name
        assert name in typed, name
    comm = next(
        node for node in ast.parse((folder / "MPI.pyi").read_text()).body if getattr(node, "name", None) == "Comm"
    )
    methods = {name for name in vars(adsum.MPI.Comm) if not name.startswith("_")}
    assert methods == {node.name for node in comm.body}


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("of", ["array", "file"])
def test_ctrl_c_ends_a_long_sum(tmp_path, of):
    program = f"""
import numpy, adsum
x = numpy.broadcast_to(numpy.float64(1), (10**13,))
if {of == "file"}:
    x = {str(tmp_path / "x.npy")!r}
    numpy.lib.format.open_memmap(x, "w+", "f8", (2**37,))
print("go", flush=True)
adsum.sum(x)
"""
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "go\n"
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert "KeyboardInterrupt" in said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_reduces_as_its_parent():
    x = np.random.default_rng(4).standard_normal(500_000)
    wanted = adsum.sum(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if adsum.sum(x) == wanted else 1)
    assert os.waitpid(child, 0)[1] == 0
