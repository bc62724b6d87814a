"""Arrays that go to the processors that device= chooses.

A list of devices, and progress=, take an array there also where that is the CPU alone.
"""

import gc
import subprocess
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adsum
from strategies import axes_of, broadcastable, small

THERE = {"device": ["cpu"]}
TOTALS = ["sum", "mean", "var", "std", "min", "max", "prod", "nansum", "nanmean", "nanvar", "nanmax"]
PLAIN = ["argmin", "nanargmax", "count_nonzero", "l1", "l2", "linf", "sumsq", "minmax"]


def same(a, b):
    if isinstance(a, tuple):
        return all(map(same, a, b))
    assert type(a) is type(b) and a.dtype == b.dtype
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def layouts(x):
    yield x
    yield np.asfortranarray(x)
    yield x[::-1][::-1]
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield x.astype(x.dtype.newbyteorder(">"))


@pytest.mark.filterwarnings("ignore:.*past 64 bits")
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i4", "u8"])
def test_all_operations_give_what_they_give_without(dtype):
    rng = np.random.default_rng(3)
    plain = (rng.standard_normal((3, 4, 2, 5)) * 3).astype(dtype)
    for x in layouts(plain):
        for axis in [None, 0, -1, (1, 2), (0, 2), (3, 0), (0, 1, 3), (0, 1, 2, 3), ()]:
            for keepdims in [False, True]:
                for name in TOTALS + PLAIN:
                    f = getattr(adsum, name)
                    assert same(f(x, axis, keepdims=keepdims, **THERE), f(x, axis, keepdims=keepdims)), (name, axis)
                for method in ["linear", "nearest"]:
                    how = dict(method=method, keepdims=keepdims)
                    assert same(adsum.quantile(x, [0.1, 0.5], axis, **how, **THERE), adsum.quantile(x, [0.1, 0.5], axis, **how))
        assert adsum.stats(x, **THERE) == adsum.stats(x)
        assert same(adsum.histogram(x, 4, **THERE), adsum.histogram(x, 4))
        for dtype in [None, float]:
            assert same(adsum.vdot(x, x[::-1], dtype, **THERE), adsum.vdot(x, x[::-1], dtype))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_keywords_mean_the_same(data):
    dtype = data.draw(st.sampled_from(["f8", "i2", "u1", "?"]))
    shape = data.draw(st.lists(st.integers(0, 4), max_size=3).map(tuple))
    count = int(np.prod(shape))
    x = np.array(data.draw(st.lists(small(dtype), min_size=count, max_size=count)), dtype).reshape(shape)
    axis = data.draw(axes_of(len(shape))) if shape else None
    where_shape = data.draw(broadcastable(shape))
    size = int(np.prod(where_shape))
    where = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool).reshape(where_shape)
    keepdims = data.draw(st.booleans())
    for name, how in [("sum", {"initial": 1}), ("mean", {}), ("std", {"ddof": 0}), ("min", {"initial": 1}), ("prod", {}), ("any", {})]:
        f = getattr(adsum, name)
        how = dict(how, axis=axis, keepdims=keepdims, where=where)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            assert same(f(x, **how, **THERE), f(x, **how)), (name, how)


def test_there_is_progress_which_can_stop_it():
    x = np.arange(3e6)
    seen = []
    assert adsum.sum(x, progress=lambda *told: seen.append(told)) == adsum.sum(x)
    assert seen and {whole for _, whole in seen} == {x.nbytes}

    def stop(*_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        adsum.mean(x, progress=stop)


def test_errors_are_those_without():
    x = np.ones((2, 3))
    with pytest.raises(OSError, match="no such thing"):
        adsum.sum(x, device="no such thing")
    for axis in [2, (0, 5), -3]:
        with pytest.raises(np.exceptions.AxisError):
            adsum.sum(x, axis, **THERE)
    with pytest.raises(ValueError, match="duplicate"):
        adsum.sum(x, (0, 0), **THERE)
    with pytest.raises(TypeError, match="complex"):
        adsum.sum(x + 0j, **THERE)
    with pytest.raises(ValueError, match="shapes"):
        adsum.vdot(x, x.T, **THERE)
    with pytest.raises(ValueError, match="duplicate"):
        adsum.sum(np.ones((2, 1, 3)), (0, 2, 2), **THERE)
    for wrong in [5, [5], b"cpu", np.array(["cpu", "gpu"])]:
        with pytest.raises(TypeError, match="device="):
            adsum.sum(x, device=wrong)
    with pytest.raises(OSError, match="no such thing"):
        adsum.sum(np.ones((0, 3)), axis=1, device="no such thing")
    for empty in [np.ones(0), np.ones((0, 3))]:
        assert adsum.sum(empty, **THERE) == 0
        with pytest.raises(ValueError, match="no elements"):
            adsum.min(empty, **THERE)


def test_the_array_is_given_back():
    class Array(np.ndarray):
        pass

    x = np.ones(1000).view(Array)
    gone = weakref.ref(x)
    assert adsum.sum(x, **THERE) == 1000
    del x
    gc.collect()
    assert gone() is None


ABORTED = """
import mmap, os, sys, time
import numpy as np, adsum
memory = mmap.mmap(-1, 400_000_000)
x = np.ndarray(50_000_000, "f8", buffer=memory)
x[:] = 1
if sys.argv[1:]:
    import signal
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
def stop(*_):
    raise KeyboardInterrupt
for f in [adsum.std, adsum.median, adsum.sum]:
    try:
        f(x, device=["cpu"], progress=None if sys.argv[1:] else stop)
    except KeyboardInterrupt:
        break
else:
    sys.exit("nothing stopped it")
assert sys.getrefcount(x) == 2
del x
memory.close()
# Whoever still read has ended the process. Threads that were joined are seen a moment longer.
until = time.monotonic() + 10
while threads and len(os.listdir("/proc/self/task")) > threads:
    assert time.monotonic() < until, "threads stay"
    time.sleep(0.001)
adsum.sum([1.0])
print("passed")
"""


@pytest.mark.parametrize("signal", [[], ["signal"]])
def test_nobody_reads_an_array_after_an_exception(signal):
    done = subprocess.run([sys.executable, "-c", ABORTED, *signal], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "passed\n"), done.stderr


def test_several_threads_at_once():
    arrays = [np.arange(1e5) + number for number in range(4)]
    found = {}

    def work(number):
        found[number] = [adsum.sum(arrays[number], **THERE) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [adsum.sum(arrays[number])] * 5 for number in range(4)}


RANKS = """
import numpy as np, adsum
from adsum import MPI
comm = MPI.COMM_WORLD
x = np.random.default_rng(5).standard_normal((7, 4, 3)) * 1e5
x[5, 1, 1] = x.max()
there = dict(comm=comm, device=["cpu"])
mine = np.array_split(x, comm.size)[comm.rank]
for name in ["sum", "mean", "var", "min", "argmin", "argmax", "prod", "median", "count_nonzero", "minmax"]:
    f = getattr(adsum, name)
    for axis in [None, 0, (0, 1), (0, 2)]:
        assert np.array_equal(f(mine, axis=axis, **there), f(mine, axis=axis, comm=comm)), (name, axis)
    assert np.array_equal(f(mine, axis=0, **there), f(x, axis=0)), name
for name in ["sum", "mean", "std"]:
    f, where = getattr(adsum, name), mine > 0 if comm.rank else True
    for axis in [None, 0, (0, 2)]:
        assert np.array_equal(f(mine, axis, where=where, **there), f(mine, axis, where=where, comm=comm)), (name, axis)
assert adsum.vdot(mine, mine, **there) == adsum.vdot(x, x)
assert adsum.stats(mine, **there) == adsum.stats(x)
counts, edges = adsum.histogram(mine, **there)
assert np.array_equal(counts, adsum.histogram(x)[0])
none = mine[:0] if comm.rank == 0 else mine
assert adsum.sum(none, **there) == adsum.sum(none, comm=comm)
try:
    adsum.sum(mine.astype("f4" if comm.rank == 0 else "f8"), **there)
except ValueError as error:
    assert "same type" in str(error)
else:
    assert comm.size == 1
# What one rank asks for, all do.
told = []
one = dict(comm=comm, progress=(lambda *bytes: told.append(bytes)) if comm.rank == 0 else None)
for name in ["sum", "mean", "var", "median", "argmin", "stats", "minmax"]:
    f = getattr(adsum, name)
    assert np.array_equal(f(mine, **one), f(mine, comm=comm)), name
for axis in [0, (0, 2)]:
    assert np.array_equal(adsum.median(mine, axis, **one), adsum.median(mine, axis, comm=comm))
    assert np.array_equal(adsum.std(mine, axis, **one), adsum.std(mine, axis, comm=comm))
assert adsum.vdot(mine, mine, **one) == adsum.vdot(x, x)
assert bool(told) == (comm.rank == 0)
rows = np.ones((2, 3)) if comm.rank else np.ones(4)
kept = adsum.sum(rows, keepdims=True, **there)
assert kept == 4 + 6 * (comm.size - 1) and kept.ndim == rows.ndim
# What fails at one rank is an error at all, and the next call is not out of step.
try:
    adsum.sum(mine, comm=comm, device="no such thing" if comm.rank == comm.size - 1 else None)
except OSError as error:
    assert "no such thing" in str(error)
else:
    raise AssertionError("no error")
assert adsum.sum(mine, **there) == adsum.sum(x)
print("passed")
"""


@pytest.mark.parametrize("count", [1, 3, 4])
def test_each_rank_has_an_array_of_its_own(ranks, count):
    done = ranks(count, RANKS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("passed") == count
