"""where=, initial=, comm=, files along axes, quantiles, histograms, tensors of others."""

import ast
import inspect
import math
import pathlib
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst

import adsum
from strategies import axes_of, broadcastable, small

TYPES = ["int8", "int32", "int64", "uint8", "uint64", "float16", "float32", "float64", "bool"]

arrays = st.sampled_from(TYPES).flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(max_dims=3, min_side=1, max_side=4), elements=small(dtype))
)


@settings(max_examples=200, deadline=None)
@given(arrays, st.data())
def test_where_and_initial_are_those_of_numpy(x, data):
    axis = data.draw(axes_of(x.ndim))
    keepdims = data.draw(st.booleans())
    where = data.draw(st.one_of(st.just(True), broadcastable(x.shape).flatmap(lambda shape: npst.arrays(bool, shape))))
    initial = data.draw(st.integers(0, 1 if x.dtype == bool else 3))
    how = {"axis": axis, "keepdims": keepdims, "where": where}
    for name, more in [
        ("sum", {}), ("sum", {"initial": initial}), ("prod", {}), ("prod", {"initial": initial}), ("any", {}), ("all", {}),
        ("min", {"initial": initial}), ("max", {"initial": initial}), ("nansum", {"initial": initial}),
    ]:
        got, wanted = getattr(adsum, name)(x, **how, **more), getattr(np, name)(x, **how, **more)
        assert np.array_equal(got, wanted), name
        assert np.shape(got) == np.shape(wanted) and np.asarray(got).dtype.kind == np.asarray(wanted).dtype.kind, name


@settings(max_examples=100, deadline=None)
@given(
    npst.arrays("f8", npst.array_shapes(max_dims=2, min_side=1, max_side=5), elements=st.floats(-1e6, 1e6)), st.data()
)
def test_averages_of_what_is_included_are_exact(x, data):
    where = data.draw(npst.arrays(bool, x.shape))
    x = np.where(where, x, data.draw(st.sampled_from([np.nan, np.inf, 7.0])))
    axis = data.draw(st.sampled_from([None, *range(x.ndim)]))
    lines = [(x.ravel(), where.ravel())] if axis is None else zip(
        np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]), np.moveaxis(where, axis, -1).reshape(-1, x.shape[axis])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = {name: np.ravel(getattr(adsum, name)(x, axis, where=where)) for name in ["mean", "var", "nanmean", "nanvar"]}
    for output, (line, included) in enumerate(lines):
        exact = [Fraction(value) for value in line[included]]
        for name in ["mean", "nanmean"]:
            mean = sum(exact) / len(exact) if exact else math.nan
            assert found[name][output] == float(mean) or not exact and np.isnan(found[name][output])
        for name in ["var", "nanvar"]:
            variance = sum((value - mean) ** 2 for value in exact) / len(exact) if exact else math.nan
            assert found[name][output] == float(variance) or not exact and np.isnan(found[name][output])


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("initial", [np.nan, np.inf, -np.inf])
def test_initial_may_be_no_number(dtype, initial, tmp_path):
    x = np.ones(2, dtype)
    np.save(tmp_path / "x.npy", x)
    for data in [x, tmp_path / "x.npy"]:
        found, wanted = adsum.sum(data, dtype=float, initial=initial), np.sum(x, dtype=float, initial=initial)
        assert np.array_equal(found, wanted, equal_nan=True), (found, wanted)


def test_what_is_no_mask_is_refused():
    with pytest.raises(TypeError, match="int64.*bool"):
        adsum.sum(np.arange(3.0), where=np.array([0, 2]))
    with pytest.raises(TypeError, match="bool"):
        adsum.sum(np.arange(3.0), where=None)



def test_initial_is_exact_and_where_is_checked():
    assert adsum.sum([1e16, -1e16], initial=1.0) == 1.0
    assert adsum.sum(np.int8([100, 100]), initial=1000) == 1200
    assert adsum.sum(np.float32([1]), initial=0.1, dtype=float) == 1.1
    assert adsum.sum(np.float32([1]), initial=0.1) == np.float32(Fraction(float(np.float32(0.1))) + 1)
    assert adsum.min([], initial=3.0) == 3 and adsum.max([1.0], initial=math.inf) == math.inf
    assert np.isnan(adsum.max([1.0], initial=math.nan)) and adsum.nanmax([1.0], initial=math.nan) == 1
    assert adsum.prod([2.0, 3.0], initial=0.5) == 3
    with pytest.raises(ValueError, match="initial=2.5"):
        adsum.sum([1, 2], initial=2.5)
    with pytest.raises(OverflowError):
        adsum.min(np.int8([1]), initial=1000)
    with pytest.raises(ValueError, match="initial="):
        adsum.max([1, 2], where=[True, False])
    with pytest.raises(ValueError):
        adsum.sum(np.ones(3), where=np.ones((2, 3), bool))
    with pytest.raises(TypeError):
        adsum.sum([1, 2], initial=[1, 2])


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["int8", "uint16", "int64", "float32", "float64"]).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(max_dims=3, min_side=1, max_side=5), elements=small(dtype))
    ),
    st.data(),
)
def test_quantiles_are_those_of_numpy(x, data):
    axis = data.draw(axes_of(x.ndim))
    keepdims = data.draw(st.booleans())
    # Shares of which q (n - 1) is exact.
    q = data.draw(st.sampled_from([0.5, 0.0, [0.25, 1.0], [[0.5], [0.75]]]))
    method = data.draw(st.sampled_from(["linear", "lower", "higher", "midpoint", "nearest"]))
    got = adsum.quantile(x, q, axis, method=method, keepdims=keepdims)
    wanted = np.quantile(x, q, axis, method=method, keepdims=keepdims)
    assert np.array_equal(got, wanted) and np.shape(got) == np.shape(wanted)
    # NumPy's float32 becomes float64 for an array of shares, and not for one.
    assert got.dtype == (wanted.dtype if x.dtype != np.float32 else x.dtype)
    wanted = np.median(x, axis=axis, keepdims=keepdims)
    assert np.array_equal(adsum.median(x, axis, keepdims=keepdims), wanted)
    assert np.array_equal(adsum.percentile(x, 25, axis), np.percentile(x, 25, axis))


def test_quantiles_of_nan_of_long_axes_and_of_nonsense():
    x = np.array([1.0, np.nan, 3.0])
    assert np.isnan(adsum.median(x)) and adsum.nanmedian(x) == 2 and adsum.nanquantile(x, 1.0) == 3
    assert adsum.nanpercentile([x, x], 50, axis=1).tolist() == [2, 2]
    long = np.random.default_rng(7).integers(0, 9, (2, 70_000, 2))
    for axis in [1, (1, 2)]:
        for keepdims in [False, True]:
            got = adsum.quantile(long, [0.5, 1.0], axis, method="lower", keepdims=keepdims)
            assert np.array_equal(got, np.quantile(long, [0.5, 1.0], axis, method="lower", keepdims=keepdims))
    for wrong in [{"q": 1.5}, {"q": math.nan}, {"q": []}, {"q": 0.5, "method": "weibull"}]:
        with pytest.raises(ValueError):
            adsum.quantile(x, **wrong)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["int8", "int64", "uint8", "float32", "float64"]).flatmap(
        lambda dtype: npst.arrays(dtype, st.integers(1, 30), elements=small(dtype))
    ),
    st.sampled_from([{}, {"bins": 4}, {"range": (-2, 2)}, {"bins": [-1, 0, 2.5]}, {"bins": 7, "range": (0, 5)}]),
)
def test_histograms_are_those_of_numpy(x, how):
    for got, wanted in zip(adsum.histogram(x, **how), np.histogram(x, **how)):
        assert np.array_equal(got, wanted) and got.dtype == wanted.dtype


def test_histograms_of_nan_and_nonsense():
    with pytest.raises(ValueError, match="NaN.*skip_nan=True"):
        adsum.histogram([1.0, np.nan])
    assert adsum.histogram([1.0, np.nan, 2.0], 1, skip_nan=True)[0].tolist() == [2]
    with pytest.raises(NotImplementedError, match="auto"):
        adsum.histogram([1.0], "auto")
    for wrong in [{"bins": 0}, {"bins": [2, 1]}, {"range": (2, 1)}]:
        with pytest.raises(ValueError):
            adsum.histogram([1.0], **wrong)


def test_a_summary():
    x = np.random.default_rng(8).integers(-100, 100, 1001)
    got = adsum.stats(x)
    assert got == (
        1001, 0, x.min(), *np.quantile(x, [0.25, 0.5, 0.75]), x.max(), adsum.mean(x), adsum.std(x), x.sum(), adsum.l2(x)
    )
    some = adsum.stats([1.0, np.nan], skip_nan=True)
    assert (some.elements, some.nan, some.mean, some.median) == (1, 1, 1.0, 1.0)
    assert np.isnan(adsum.stats([]).min)


class Tensor:
    """What other libraries call a tensor."""

    def __init__(self, x, device=(1, 0)):
        self.x, self.device = x, device

    def __dlpack__(self, **how):
        return self.x.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.device


def test_tensors_are_read_where_they_lie():
    x = np.random.default_rng(9).standard_normal((30, 40))
    assert adsum.sum(Tensor(x)) == adsum.sum(x)
    assert np.array_equal(adsum.mean(Tensor(x[::2, ::-1]), axis=0), adsum.mean(x[::2], axis=0)[::-1])
    assert np.shares_memory(adsum._sources.array_of(Tensor(x)), x)
    with pytest.raises(TypeError, match="Tensor.*device"):
        adsum.sum(Tensor(x, device=(2, 0)))


def test_files_along_an_axis(tmp_path):
    rng = np.random.default_rng(10)
    parts = [rng.standard_normal((length, 4, 5)) * 1e8 for length in [3, 2]]
    for number, part in enumerate(parts):
        np.save(tmp_path / f"part{number}.npy", part)
    whole = np.concatenate(parts)
    pattern = str(tmp_path / "part*.npy")
    for name in ["sum", "mean", "var", "max", "argmin", "prod", "nansum", "count_nonzero"]:
        for axis in [0, -3]:
            got = getattr(adsum, name)(pattern, axis=axis)
            wanted = getattr(adsum, name)(whole, axis=axis)
            assert np.array_equal(got, wanted) and got.dtype == wanted.dtype, name
        got = getattr(adsum, name)(tmp_path / "part0.npy", axis=1, keepdims=True)
        assert np.array_equal(got, getattr(adsum, name)(parts[0], axis=1, keepdims=True)), name
    for found, wanted in zip(adsum.minmax(pattern, axis=0), adsum.minmax(whole, axis=0)):
        assert np.array_equal(found, wanted)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(parts[0]))
    assert np.array_equal(adsum.sum(tmp_path / "fortran.npy", axis=2), adsum.sum(parts[0], axis=2))
    np.save(tmp_path / "part2.npy", np.zeros((1, 4)))
    with pytest.raises(ValueError, match="part2.npy"):
        adsum.sum(pattern, axis=0)


def test_questions_of_several_passes_over_files(tmp_path):
    x = np.random.default_rng(11).standard_normal(3000)
    np.save(tmp_path / "a.npy", x[:1000])
    np.save(tmp_path / "b.npy", x[1000:])
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    assert adsum.median(files) == adsum.median(x) and adsum.stats(files) == adsum.stats(x)
    assert np.array_equal(adsum.quantile(files, [0.1, 0.9]), adsum.quantile(x, [0.1, 0.9]))
    for got, wanted in zip(adsum.histogram(files), adsum.histogram(x)):
        assert np.array_equal(got, wanted)


def test_devices_and_progress_of_files(tmp_path):
    x = np.arange(3e6)
    np.save(tmp_path / "x.npy", x)
    seen = []
    assert adsum.sum(tmp_path / "x.npy", device="cpu", progress=lambda *told: seen.append(told)) == adsum.sum(x)
    assert seen and {bytes for _, bytes in seen} == {x.nbytes} and [done for done, _ in seen] == sorted({done for done, _ in seen})
    with pytest.raises(OSError, match="no such thing"):
        adsum.sum(tmp_path / "x.npy", device="no such thing")

    def stop(*_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        adsum.sum(tmp_path / "x.npy", progress=stop)


RANKS = """
import numpy as np, adsum
from adsum import MPI
comm = MPI.COMM_WORLD
x = np.load("x.npy")
mine = np.array_split(x, comm.size)[comm.rank]
assert adsum.sum("part*.npy", comm=comm) == adsum.sum(x)
assert np.array_equal(adsum.var("part*.npy", axis=0, comm=comm), adsum.var(x, axis=0))
assert adsum.argmin("part*.npy", comm=comm) == adsum.argmin(x)
assert adsum.prod("part*.npy", comm=comm) == adsum.prod(x)
for name in ["sum", "mean", "var", "min", "max", "argmin", "argmax", "prod", "any", "nansum", "median", "count_nonzero"]:
    f = getattr(adsum, name)
    assert f(mine, comm=comm) == f(x), name
    assert np.array_equal(f("x.npy", comm=comm), f(x)), name
    if name != "median":
        assert np.array_equal(f(mine, axis=0, comm=comm), f(x, axis=0)), name
        assert np.array_equal(f("x.npy", axis=0, comm=comm), f(x, axis=0)), name
assert adsum.minmax(mine, comm=comm) == adsum.minmax(x)
assert np.array_equal(adsum.quantile(mine, [0.1, 0.9], comm=comm), adsum.quantile(x, [0.1, 0.9]))
assert adsum.stats(mine, comm=comm) == adsum.stats("x.npy", comm=comm) == adsum.stats(x)
for files in [adsum.histogram(mine, comm=comm), adsum.histogram("x.npy", comm=comm)]:
    for got, wanted in zip(files, adsum.histogram(x)):
        assert np.array_equal(got, wanted)
assert adsum.sum(mine, where=mine > 0, initial=3.0, comm=comm) == adsum.sum(x, where=x > 0, initial=3.0)
assert adsum.mean(mine, where=mine > 0, comm=comm) == adsum.mean(x, where=x > 0)
assert adsum.vdot(mine, mine, comm=comm) == adsum.vdot(x, x)
assert adsum.sum(mine, comm=MPI.COMM_SELF) == adsum.sum(mine)
for wrong in [lambda: adsum.sum(mine.astype("f4" if comm.rank == 0 else "f8"), comm=comm),
              lambda: adsum.sum(mine[:, : 1 + comm.rank], axis=0, comm=comm)]:
    try:
        wrong()
    except ValueError as error:
        assert "same type and axes" in str(error) or comm.size == 1
    else:
        assert comm.size == 1
print("right", flush=True)
"""


@pytest.mark.parametrize("count", [1, 3, 4])
def test_ranks_have_the_bits_of_the_whole(ranks, tmp_path, count):
    x = np.random.default_rng(12).standard_normal((101, 7)) * 1e9
    np.save(tmp_path / "x.npy", x)
    for number, part in enumerate(np.array_split(x, 7)):
        np.save(tmp_path / f"part{number}.npy", part)
    done = ranks(count, RANKS)
    assert (done.returncode, done.stdout.count("right")) == (0, count), done.stderr


def test_ranks_that_see_other_files_are_refused(ranks, tmp_path):
    np.save(tmp_path / "a.npy", np.ones(10))
    np.save(tmp_path / "b.npy", np.ones(11))
    program = """
import adsum
from adsum import MPI
try:
    adsum.sum("a.npy" if MPI.COMM_WORLD.rank else "b.npy", comm=MPI.COMM_WORLD)
except ValueError as error:
    print("same files" in str(error), flush=True)
"""
    assert "True" in ranks(2, program).stdout


@pytest.mark.parametrize(
    "one, other, words",
    [
        ("adsum.sum(x, comm=c)", "adsum.mean(x, comm=c)", ["sum", "mean"]),
        ("adsum.min(x, comm=c)", "adsum.argmin(x, comm=c)", ["min", "argmin"]),
        ("adsum.var(x, comm=c)", "adsum.var(x, ddof=1, comm=c)", ["asks for var", "var with ddof=1"]),
        ("adsum.sum('x.npy', comm=c)", "adsum.mean('x.npy', comm=c)", ["sum", "mean"]),
        ("adsum.sum(x, axis=0, comm=c)", "adsum.nansum(x, axis=0, comm=c)", ["sum", "sum without NaN"]),
        ("adsum.quantile(x, 0.1, comm=c)", "adsum.quantile(x, 0.9, comm=c)", ["[0.1]", "[0.9]"]),
        ("adsum.quantile(x, 0.5, comm=c)", "adsum.quantile(x, 0.5, method='lower', comm=c)", ["(linear)", "(lower)"]),
        ("adsum.sum(x, axis=0, comm=c)", "adsum.sum(x, axis=1, comm=c)", ["axes [0]", "axes [1]"]),
        ("adsum.sum('x.npy', axis=0, comm=c)", "adsum.sum('x.npy', axis=1, comm=c)", ["axes [0]", "axes [1]"]),
        ("adsum.quantile(x, 0.5, axis=0, comm=c)", "adsum.quantile(x, 0.5, axis=1, comm=c)", ["axes [0]", "axes [1]"]),
        ("adsum.sum(x, initial=1, comm=c)", "adsum.sum(x, initial=2, comm=c)", ["from 1.0", "from 2.0"]),
        ("adsum.sum('x.npy', comm=c)", "adsum.sum('y.npy', comm=c)", ["x.npy", "y.npy", "same files"]),
        ("adsum.sum('x.npy', comm=c)", "adsum.sum(['x.npy', 'y.npy'], comm=c)", ["files: 1", "files: 2"]),
        ("adsum.median('x.npy', comm=c)", "adsum.median('y.npy', comm=c)", ["x.npy", "y.npy"]),
        ("adsum.histogram(x, comm=c)", "adsum.histogram(x, skip_nan=True, comm=c)", ["10 bins", "10 bins without NaN"]),
        ("adsum.histogram(x, 5, comm=c)", "adsum.histogram(x, 6, comm=c)", ["5 bins", "6 bins"]),
    ],
)
def test_ranks_that_ask_for_different_things_are_told(ranks, tmp_path, one, other, words):
    np.save(tmp_path / "x.npy", [[1.0, 2.0], [3.0, 4.0]])
    np.save(tmp_path / "y.npy", [[5.0, 6.0], [7.0, 8.0]])
    program = f"""
import adsum, numpy
from adsum import MPI
c = MPI.COMM_WORLD
x = numpy.array([[1.0, 2.0], [3.0, 4.0]])
try:
    print({one} if c.rank == 0 else {other}, flush=True)
except (ValueError, MPI.Exception) as error:
    print("told:", error, flush=True)
"""
    lines = ranks(3, program).stdout.splitlines()
    assert len(lines) == 3 and all("told:" in line for line in lines), lines
    assert any(all(word in line for word in words) for line in lines), lines


def test_what_is_no_communicator():
    with pytest.raises(TypeError, match="no rank"):
        adsum.sum([1.0], comm=3)


def test_functions_have_the_types_of_their_signatures():
    folder = pathlib.Path(adsum.__file__).parent
    typed = {node.name: node.args for node in ast.parse((folder / "_functions.pyi").read_text()).body if isinstance(node, ast.FunctionDef)}
    for name, args in typed.items():
        signature = inspect.signature(getattr(adsum, name))
        assert [arg.arg for arg in args.args + args.kwonlyargs] == list(signature.parameters), name
    assert {name for name in adsum.__all__ if inspect.isfunction(getattr(adsum, name))} == set(typed)


def test_methods_of_clusters_have_types():
    folder = pathlib.Path(adsum.__file__).parent
    body = ast.parse((folder / "_cluster.pyi").read_text()).body
    (typed,) = [node for node in body if getattr(node, "name", None) == "Cluster"]
    public = {name for name in vars(adsum.Cluster) if not name.startswith("_")}
    assert public == {node.name for node in typed.body if not node.name.startswith("_")}
    assert all(getattr(adsum.Cluster, name).__doc__ for name in public)
