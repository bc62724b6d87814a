"""Files with all keywords, against the arrays that they hold and fractions."""

import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst

import adsum
from strategies import axes_of, broadcastable, small

TYPES = ["int8", "int64", "uint8", "uint64", "float16", "float32", "float64", "bool", ">f8", ">i2"]
NAMES = ["sum", "prod", "mean", "var", "min", "max", "any", "all", "argmin", "minmax", "nansum", "nanmean", "count_nonzero"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@st.composite
def parts(draw):
    """Arrays that join along their first axis, all in C order or all in Fortran order."""
    dtype = draw(st.sampled_from(TYPES))
    rest = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    order = draw(st.sampled_from("CF"))
    return [
        np.asarray(draw(npst.arrays(dtype, (length, *rest), elements=small(dtype))), order=order) for length in lengths
    ]


def saved(folder, arrays):
    """Their files, new ones for each example: equal times would look like a change."""
    paths = []
    for array in arrays:
        path = folder / f"{len(os.listdir(folder))}.npy"
        np.save(path, array)
        paths.append(path)
    return paths


def same(got, wanted):
    got, wanted = np.asarray(got), np.asarray(wanted)
    return got.dtype == wanted.dtype and got.shape == wanted.shape and np.array_equal(got, wanted, equal_nan=got.dtype.kind == "f")


def both(function, *arguments, **keywords):
    """What is given, or the kind of error that is raised."""
    try:
        return function(*arguments, **keywords)
    except (ValueError, NotImplementedError) as error:
        return type(error)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=50, deadline=None)
@given(parts(), st.data())
def test_files_are_reduced_as_the_arrays_that_they_hold(folder, arrays, data):
    files, whole = saved(folder, arrays), np.concatenate(arrays)
    axis = data.draw(axes_of(whole.ndim))
    keepdims = data.draw(st.booleans())
    for name in NAMES:
        wanted = both(getattr(adsum, name), whole, axis, keepdims=keepdims)
        got = both(getattr(adsum, name), files, axis, keepdims=keepdims)
        if got is NotImplementedError:
            assert name == "prod" and whole.dtype.kind == "f"
        elif name != "prod" or arrays[0].flags.c_contiguous or whole.dtype.kind != "f":
            assert got is wanted or same(got, wanted), name


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=50, deadline=None)
@given(parts(), st.data())
def test_where_and_initial_of_files_are_those_of_numpy(folder, arrays, data):
    files, whole = saved(folder, arrays), np.concatenate(arrays)
    axis = data.draw(axes_of(whole.ndim))
    keepdims = data.draw(st.booleans())
    shape = data.draw(broadcastable(whole.shape))
    where = data.draw(st.one_of(st.just(True), npst.arrays(bool, shape[data.draw(st.integers(0, len(shape))):])))
    initial = data.draw(st.integers(0, 1 if whole.dtype == bool else 3))
    how = {"axis": axis, "keepdims": keepdims, "where": where}
    for name, more in [
        ("sum", {}), ("sum", {"initial": initial}), ("prod", {}), ("prod", {"initial": initial}), ("any", {}), ("all", {}),
        ("min", {"initial": initial}), ("max", {"initial": initial}), ("nansum", {"initial": initial}),
    ]:
        got = both(getattr(adsum, name), files, **how, **more)
        wanted = getattr(np, name)(whole, **how, **more)
        if got is NotImplementedError:
            assert name == "prod" and whole.dtype.kind == "f"
            continue
        assert np.array_equal(got, wanted) and np.shape(got) == np.shape(wanted), name
    for name in ["mean", "var", "nanmean", "nanvar"]:
        assert same(getattr(adsum, name)(files, **how), getattr(adsum, name)(whole, **how)), name


@settings(max_examples=30, deadline=None)
@given(
    st.lists(npst.arrays("f8", st.tuples(st.integers(0, 4), st.just(3)), elements=st.floats(-1e300, 1e300)), min_size=1, max_size=3),
    st.data(),
)
def test_sums_of_what_is_included_are_exact(folder, arrays, data):
    files, whole = saved(folder, arrays), np.concatenate(arrays)
    where = data.draw(npst.arrays(bool, whole.shape))
    initial = data.draw(st.floats(-1e300, 1e300))
    exact = [sum(map(Fraction, column[rows]), Fraction(initial)) for column, rows in zip(whole.T, where.T)]
    assert adsum.sum(files, axis=0, where=where, initial=initial).tolist() == [float(one) for one in exact]
    total = sum(exact) - 2 * Fraction(initial)
    assert adsum.sum(files, where=where, initial=initial) == float(total)


def test_initial_may_be_wider_than_the_elements(folder):
    for x in [np.int8([100, 100, -100]), np.float32([1, 2, -3]), np.int64([2**53, 1, 0]), np.uint8([255, 1, 0])]:
        (path,) = saved(folder, [x])
        for source in [x, path]:
            if x.dtype.kind != "f":
                assert adsum.sum(source, initial=1000) == int(x.sum()) + 1000
                assert adsum.sum(source, axis=0, initial=2**62) == int(x.sum()) + 2**62
                assert adsum.prod(source, initial=1000) == int(x.prod(dtype="i8")) * 1000
            exact = sum(map(Fraction, x.tolist()))
            for initial in [0.1, 1e300, -1e-320]:
                assert adsum.sum(source, dtype=float, initial=initial) == float(exact + Fraction(initial))
    with pytest.raises(ValueError, match="initial=2.5"):
        adsum.sum(path, initial=2.5)
    with pytest.raises(ValueError, match="initial="):
        adsum.max(path, where=[True, False, True])
    with pytest.raises(ValueError):
        adsum.sum(path, where=[True, False])
    with pytest.raises(np.exceptions.AxisError):
        adsum.mean(path, axis=1, where=[True, False, True])


def test_files_without_axes(folder):
    np.save(folder / "zero.npy", np.float32(3))
    for where, wanted in [(True, 3), (np.True_, 3), (False, 0), (np.array(False), 0)]:
        assert adsum.sum(folder / "zero.npy", where=where) == wanted


def test_files_of_different_axes(folder):
    paths = saved(folder, [np.ones((2, 3)), np.ones((4, 5)), np.ones(6)])
    assert adsum.sum(paths[:2], keepdims=True).tolist() == [[26.0]]
    assert adsum.median(paths[:2], keepdims=True).tolist() == [[1.0]]
    assert adsum.sum(paths) == 32
    for how in [{"keepdims": True}, {"axis": (0, 1)}, {"where": [True]}]:
        with pytest.raises(ValueError, match="axes|shape"):
            adsum.sum(paths, **how)
    with pytest.raises(ValueError, match="duplicate"):
        adsum.sum(paths[0], axis=(0, -2))


@settings(max_examples=30, deadline=None)
@given(parts().filter(lambda arrays: sum(map(len, arrays)) and arrays[0].dtype != bool), st.data())
def test_quantiles_of_files_are_those_of_arrays(folder, arrays, data):
    files, whole = saved(folder, arrays), np.concatenate(arrays)
    axis = data.draw(axes_of(whole.ndim))
    how = {"keepdims": data.draw(st.booleans()), "method": data.draw(st.sampled_from(["linear", "lower", "midpoint"]))}
    q = data.draw(st.sampled_from([0.5, [0.25, 1.0], [[0.5], [0.75]]]))
    assert same(adsum.quantile(files, q, axis, **how), adsum.quantile(whole, q, axis, **how))
    assert np.array_equal(adsum.median(files, axis), np.median(whole, axis=axis))


def test_quantiles_of_files_along_long_axes(folder):
    x = np.random.default_rng(7).integers(0, 9, (2, 70_000, 2))
    for lying in [x, np.asfortranarray(x)]:
        files = saved(folder, [lying])
        for axis in [1, (1, 2), (0, 1)]:
            wanted = np.quantile(x, [0.5, 1.0], axis, method="lower", keepdims=True)
            assert np.array_equal(adsum.quantile(files, [0.5, 1.0], axis, method="lower", keepdims=True), wanted)
    x = np.moveaxis(x, 2, 1)
    wanted = np.quantile(x, [0.5, 1.0], (0, 2), method="lower")
    assert np.array_equal(adsum.quantile(saved(folder, [x]), [0.5, 1.0], (0, 2), method="lower"), wanted)


def test_axes_that_need_several_windows(folder):
    x = np.random.default_rng(8).integers(-99, 99, (3, 400_000, 2)).astype("f4")
    files = saved(folder, [x[:1], x[1:]])
    where = x[0] > 0
    assert np.array_equal(adsum.var(files, axis=(0, 2)), adsum.var(x, axis=(0, 2)))
    assert np.array_equal(adsum.argmin(files, axis=(0, 2)), adsum.argmin(x, axis=(0, 2)))
    assert np.array_equal(adsum.sum(files, axis=0, where=where), np.sum(x, axis=0, where=where))
    where[:, 0] = True
    assert np.array_equal(adsum.mean(files, axis=-1, where=where), adsum.mean(x, axis=-1, where=where))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["f4", "f8", ">f8"]).flatmap(
        lambda dtype: npst.arrays(dtype, st.tuples(st.just(2), st.integers(0, 9), st.integers(1, 3)), elements=st.floats(-1e9, 1e9, width=32))
    ),
    st.data(),
)
def test_products_of_files_in_pairs_are_exact(folder, pair, data):
    a, b = pair
    exact = sum((Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a.ravel(), b.ravel())), Fraction(0))
    cuts = [sorted(data.draw(st.lists(st.integers(0, len(a)), max_size=2))) for _ in pair]
    first, second = [saved(folder, np.split(x, cut)) for x, cut in zip(pair, cuts)]
    assert adsum.vdot(first, second, dtype=float) == float(exact)
    assert adsum.vdot(first, second) == adsum.vdot(a, b) and adsum.vdot(first, second).dtype == a.dtype.newbyteorder("=")
    assert adsum.vdot(first, first) == adsum.sumsq(first)


def test_pairs_that_are_none(folder):
    one, other, short = saved(folder, [np.ones((2, 3)), np.ones((3, 2)), np.ones(5, "f4")])
    with pytest.raises(ValueError, match=r"\[2, 3\].*\[3, 2\]"):
        adsum.vdot(one, other)
    with pytest.raises(TypeError, match="float64 and float32"):
        adsum.vdot(one, short)
    with pytest.raises(TypeError, match="files and an array"):
        adsum.vdot(one, np.ones((2, 3)))
    with pytest.raises(OSError, match="gone"):
        adsum.vdot(one, folder / "gone.npy")


class Changing:
    """An axis that is known when files have been opened, and then writes to one."""

    def __init__(self, path):
        self.path = path

    def __index__(self):
        with open(self.path, "r+b") as file:
            file.seek(-8, os.SEEK_END)
            file.write(b"changed!")
        return 0


def test_files_that_change_are_an_error_and_never_a_number(folder):
    x = np.ones((5, 4, 3))
    for function, axes, how in [
        (adsum.sum, (), {"where": x > 0}),
        (adsum.sum, (1,), {}),
        (adsum.mean, (2,), {"where": x[0] > 0}),
        (adsum.max, (1, 2), {"initial": 1.0}),
        (adsum.median, (), {}),
        (adsum.median, (1, 2), {}),
    ]:
        (path,) = saved(folder, [x])
        os.utime(path, ns=(1, 1))
        with pytest.raises(OSError, match="changed"):
            function(path, axis=(Changing(path), *axes), **how)


RANKS = """
import numpy as np, adsum
from adsum import MPI
comm = MPI.COMM_WORLD
x = np.load("x.npy")
mine = np.array_split(x, comm.size)[comm.rank]
where = x > 0
where[:, 0] = True
for name in ["sum", "mean", "prod", "nanvar", "any"]:
    f = getattr(adsum, name)
    for axis in [None, 0, 1]:
        assert np.array_equal(f("part*.npy", axis, where=where, comm=comm), f(x, axis, where=where)), name
assert adsum.sum("x.npy", axis=(0, 1), initial=3.0, keepdims=True, comm=comm) == adsum.sum(x, initial=3.0)
assert adsum.vdot("x.npy", "part*.npy", comm=comm) == adsum.vdot(x, x)
for axis in [0, (0, 1)]:
    wanted = adsum.quantile(x, [0.25, 0.5], axis)
    assert np.array_equal(adsum.quantile(mine, [0.25, 0.5], axis, comm=comm), wanted)
    assert np.array_equal(adsum.quantile("part*.npy", [0.25, 0.5], axis, comm=comm), wanted)
assert np.array_equal(adsum.median("x.npy", 1, comm=comm), np.median(x, axis=1))
long = np.arange(140_000).reshape(70_000, 2) * 7919 % 10_007
assert np.array_equal(adsum.median(np.array_split(long, comm.size)[comm.rank], 0, comm=comm), np.median(long, axis=0))
print("right", flush=True)
"""


@pytest.mark.parametrize("count", [1, 3])
def test_ranks_have_the_bits_of_the_whole(ranks, tmp_path, count):
    x = np.random.default_rng(12).standard_normal((101, 7)) * 1e9
    np.save(tmp_path / "x.npy", x)
    for number, part in enumerate(np.array_split(x, 4)):
        np.save(tmp_path / f"part{number}.npy", part)
    done = ranks(count, RANKS)
    assert (done.returncode, done.stdout.count("right")) == (0, count), done.stderr
