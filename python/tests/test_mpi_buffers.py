"""Buffers in all forms, blocks of many lengths, derived types and operations of functions."""

import array

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from adsum import MPI

FORMS = r'''
import array
import numpy as np
from adsum import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
x = np.arange(6.0) + rank
total = sum(np.arange(6.0) + r for r in range(size))

# One buffer in every form, of which both sides may take another.
forms = lambda x: [x, [x, MPI.DOUBLE], [x, "d"], [x, "DOUBLE"], (x, 6), [x, 6, MPI.DOUBLE], [x, None, MPI.DOUBLE],
                   [x, (6, 0), MPI.DOUBLE], [x, 6, 0, MPI.DOUBLE], memoryview(x), [x.tobytes(), MPI.DOUBLE]]
for given in forms(x) + [array.array("d", x)]:
    out = np.zeros(6)
    comm.Allreduce(given, out)
    assert np.array_equal(out, total), given
for which in range(10):
    out = np.zeros(6)
    comm.Allreduce(x, forms(out)[which])
    assert np.array_equal(out, total), which
for out in [array.array("d", bytes(48)), memoryview(bytearray(48)).cast("d")]:
    comm.Allreduce(x, out)
    assert list(out) == list(total)
raw = bytearray(48)
comm.Allreduce(x, [raw, MPI.DOUBLE])
assert raw == total.tobytes()
# Bytes that no double may begin at.
odd = np.zeros(49, "u1")
comm.Allreduce(x, [odd[1:], MPI.DOUBLE])
assert odd[1:].tobytes() == total.tobytes()
part = np.zeros(6)
comm.Allreduce([x, (2, 1)], [part, (2, 3)])
assert part.tolist() == [0, 0, 0, *total[1:3], 0]

# Types that are no float64.
flags = np.array([True, rank == 0])
seen = np.empty(2, bool)
comm.Allreduce(flags, seen, MPI.LAND)
assert seen.tolist() == [True, size == 1]
z = np.array([1e16 + 1e16j, 1 + 2j, -1e16 - 1e16j][: min(3, size)] + [0j] * 3)[[rank % 3]]
out = np.empty(1, complex)
comm.Allreduce(z, out)
every = [np.array([1e16 + 1e16j, 1 + 2j, -1e16 - 1e16j][: min(3, size)] + [0j] * 3)[r % 3] for r in range(size)]
import math
assert out[0] == complex(math.fsum(v.real for v in every), math.fsum(v.imag for v in every))
for op in [MPI.PROD, MPI.Op.Create(lambda a, b, t: np.multiply(np.frombuffer(a, "D"), np.frombuffer(b, "D"), out=np.frombuffer(b, "D")))]:
    comm.Allreduce(np.array([1j + rank]), out, op)
    assert np.isclose(out[0], np.prod([1j + r for r in range(size)]))
everything = np.empty((size, 2), "F")
comm.Allgather(np.array([rank, 1j], "F"), everything)
assert np.array_equal(everything, [[r, 1j] for r in range(size)])

# Pairs of value and place.
pairs = np.array([((rank * 7) % 3, rank), (-rank, 5), (1, rank)], [("v", "f8"), ("i", "i4")]).astype(
    np.dtype([("v", "f8"), ("i", "i4")], align=True))
for op, better in [(MPI.MINLOC, min), (MPI.MAXLOC, lambda all: max(all, key=lambda p: (p[0], -p[1])))]:
    out = np.zeros(3, pairs.dtype)
    comm.Allreduce([pairs, MPI.DOUBLE_INT], [out, MPI.DOUBLE_INT], op)
    columns = [[((r * 7) % 3, r) for r in range(size)], [(-r, 5) for r in range(size)], [(1, r) for r in range(size)]]
    assert out.tolist() == [better(column) for column in columns], (op, out)

lost = np.array([(np.nan if rank == 0 else 1.0, rank), (np.nan, 5)], pairs.dtype)
comm.Allreduce(MPI.IN_PLACE, lost, MPI.MAXLOC)
assert np.isnan(lost["v"]).all() and lost["i"].tolist() == [0, 5]

# Functions, in rank order from the left: not commutative.
def first(a, b, datatype):
    assert datatype == MPI.INT and isinstance(a, MPI.buffer)
    b[:] = array.array("i", [10 * p + q for p, q in zip(np.frombuffer(a, "i"), np.frombuffer(b, "i"))])
op = MPI.Op.Create(first)
digits = np.array([rank + 1, rank + 2], "i")
fold = lambda ranks, shift: int("".join(str(r + shift) for r in ranks) or 0)
out = np.full(2, -1, "i")
comm.Allreduce(digits, out, op)
assert out.tolist() == [fold(range(size), 1), fold(range(size), 2)]
for call, ranks in [(comm.Scan, range(rank + 1)), (comm.Exscan, range(rank))]:
    out[:] = -1
    call(digits, out, op)
    assert out.tolist() == ([fold(ranks, 1), fold(ranks, 2)] if len(ranks) else [-1, -1])
out[:] = -1
comm.Reduce(digits, out if rank == size - 1 else None, op, size - 1)
assert out.tolist() == ([fold(range(size), 1), fold(range(size), 2)] if rank == size - 1 else [-1, -1])
block = np.zeros(1, "i")
comm.Reduce_scatter_block(np.arange(size, dtype="i") + rank, block, op)
assert block[0] == sum((rank + r) * 10 ** (size - 1 - r) for r in range(size))
assert comm.allreduce(str(rank), MPI.Op.Create(lambda a, b, t: a + b)) == "".join(map(str, range(size)))
op.Free()

# Blocks of lengths of their own: rank r has r + 1 elements, and they are r.
counts = [r + 1 for r in range(size)]
starts = np.cumsum([0] + counts[:-1]).tolist()
mine = np.full(rank + 1, rank, "i8")
whole = np.repeat(np.arange(size), counts)
for given in [[None, counts], [None, np.array(counts)], [None, (np.array(counts), np.array(starts))], [None, (counts, None)], [None, (counts, starts)], [None, counts, starts, MPI.INT64_T]]:
    out = np.full(sum(counts), -1, "i8")
    comm.Allgatherv(mine, [out, *given[1:]])
    assert np.array_equal(out, whole)
out = np.full(sum(counts) + size, -1, "i8")
gaps = [start + r for r, start in enumerate(starts)]
for call in [comm.Allgatherv, lambda a, b: comm.Gatherv(a, b, root=0)]:
    out[:] = -1
    call(mine, [out, (counts, gaps), MPI.INT64_T])
    expected = np.full(sum(counts) + size, -1)
    for r in range(size):
        expected[gaps[r] : gaps[r] + r + 1] = r
    assert np.array_equal(out, expected) or (rank > 0 and (out == -1).all())
back = np.zeros(rank + 1, "i8")
comm.Scatterv([whole, counts, MPI.INT64_T] if rank == 0 else None, back, root=0)
assert np.array_equal(back, mine)
matrix = np.matrix([[1.0, 2.0]])
comm.Allreduce(MPI.IN_PLACE, matrix)
assert matrix.tolist() == [[size, 2 * size]]
strided = np.full(3 * size, -1, "i8")
comm.Allgatherv(np.full(2, rank, "i8"), [strided, (2, 3), MPI.INT64_T])
assert strided.reshape(size, 3).tolist() == [[r, r, -1] for r in range(size)]
in_place = np.where(whole == rank, whole, -1)
comm.Allgatherv(MPI.IN_PLACE, [in_place, counts])
assert np.array_equal(in_place, whole)
# Rank r sends s + 1 elements r * 10 + s to rank s.
sent = np.concatenate([np.full(s + 1, rank * 10 + s, "i4") for s in range(size)])
got = np.zeros(size * (rank + 1), "i4")
comm.Alltoallv([sent, counts], [got, [rank + 1] * size])
assert got.tolist() == [r * 10 + rank for r in range(size) for _ in range(rank + 1)]
memory = np.zeros(size, "f8")
comm.Alltoallw(
    [np.full(size, rank, "i4"), ([1] * size, [4 * r for r in range(size)]), [MPI.INT] * size],
    [memory, ([1] * size, [8 * r for r in range(size)]), [MPI.INT] * size],
)
assert memory.view("i4")[::2].tolist() == list(range(size))

# Folds whose results are divided.
data = np.arange(sum(counts)) * 0.1 + rank
exact = [math.fsum((np.arange(sum(counts)) * 0.1 + r)[i] for r in range(size)) for i in range(sum(counts))]
own = slice(starts[rank], starts[rank] + counts[rank])
for recvcounts in [None, counts]:
    out = np.zeros(rank + 1)
    comm.Reduce_scatter(data, out, recvcounts)
    assert out.tolist() == exact[own]
in_place = data.copy()
comm.Reduce_scatter(MPI.IN_PLACE, in_place, counts)
assert in_place[: rank + 1].tolist() == exact[own] and np.array_equal(in_place[rank + 1 :], data[rank + 1 :])

# Derived types: every second element, and blocks of two.
grid = np.arange(12.0).reshape(3, 4) if rank == 0 else np.full((3, 4), -1.0)
column = MPI.DOUBLE.Create_vector(3, 1, 4).Commit()
comm.Bcast([grid, 1, column])
assert grid[:, 0].tolist() == [0, 4, 8] and (rank == 0 or (grid[:, 1:] == -1).all())
two = MPI.INT.Create_contiguous(2)
pairs = np.arange(4, dtype="i4") + rank
out = np.zeros(4, "i4")
comm.Allreduce([pairs, 2, two], [out, 4, MPI.INT])
assert np.array_equal(out, sum(np.arange(4) + r for r in range(size)))
spread = np.full(6, -1, "i4")
some = MPI.INT.Create_indexed([2, 1], [0, 4])
comm.Bcast([np.arange(3, dtype="i4"), 3, MPI.INT] if rank == 0 else [spread, 1, some])
assert rank == 0 or spread.tolist() == [0, 1, -1, -1, 2, -1]
import sys
sys.stdout.write(f"done {rank}\n")
'''


@pytest.mark.parametrize("count", [1, 3, 4])
def test_every_form(ranks, count):
    done = ranks(count, FORMS)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")) == sorted([f"done {rank}" for rank in range(count)] + [""])


def test_tensors_by_dlpack_are_taken_where_they_lie():
    class Tensor:
        """A tensor with nothing but DLPack."""

        def __init__(self, array):
            self.array = array

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

        def __dlpack__(self, **asked):
            return self.array.__dlpack__(**asked)

    out = np.zeros(3)
    MPI.COMM_WORLD.Allreduce(Tensor(np.array([1.0, 2.0, 3.0])), Tensor(out))
    assert out.tolist() == [1, 2, 3]


def test_types_have_sizes_and_extents():
    vector = MPI.DOUBLE.Create_vector(3, 1, 4)
    assert (vector.size, vector.extent, MPI.DOUBLE.extent) == (24, 72, 8)
    assert MPI.INT.Create_indexed_block(2, [1, 4]).Get_extent() == (4, 20)
    assert MPI.DOUBLE_INT.Get_size() == 16 and MPI.LONG.Get_name() == "MPI_LONG" and not MPI.DATATYPE_NULL
    assert not vector.is_predefined and MPI.INT.is_predefined
    with pytest.raises(ValueError, match="lengths of blocks"):
        MPI.INT.Create_indexed([1], [1, 2])
    with pytest.raises(ValueError, match="block of -1"):
        MPI.INT.Create_indexed([-1], [1])


def test_functions_have_the_bytes_of_elements():
    data = MPI.buffer(np.array([1.5, 2.5]))
    assert data[:8].tobytes() == np.float64(1.5).tobytes() and len(data) == 16
    data[8:] = np.array([3.0])
    data[:8] = np.float64(0.5)
    assert np.frombuffer(data).tolist() == [0.5, 3.0]
    data[0] = data[1] | 7
    data[2:5] = 0
    with pytest.raises(ValueError, match="8 bytes put where there are 16"):
        data[:] = np.array([3.0])


def test_operations_fold_here_what_they_fold_over_ranks():
    into = np.array([1.0, 2.0], "f4")
    MPI.SUM.Reduce_local(np.array([0.5, 0.25], "f4"), into)
    assert into.tolist() == [1.5, 2.25]
    MPI.PROD.Reduce_local(array.array("f", [2, 2]), into)
    assert into.tolist() == [3, 4.5]
    assert MPI.MAX(2, 3) == 3 and MPI.MINLOC((1, 2), (1, 1)) == (1, 1) and MPI.LXOR(1, 1) is False
    with pytest.raises(ValueError, match="int32"):
        MPI.SUM.Reduce_local(np.zeros(2, "i4"), into)
    with pytest.raises(TypeError, match="no function"):
        MPI.Op.Create(3)
    with pytest.raises(ValueError, match="OP_NULL"):
        MPI.OP_NULL(1, 2)
    assert not MPI.Op() and MPI.Op(MPI.SUM) == MPI.SUM


small = st.integers(0, 3)


@st.composite
def derived(draw):
    """A derived type, and where MPI's standard says that its elements are."""
    datatype, places = MPI.INT32_T, [0]
    for _ in range(draw(small)):
        extent = max(places, default=-1) - min(places, default=0) + 1
        kind = draw(st.sampled_from(["contiguous", "vector", "indexed", "indexed_block"]))
        if kind == "contiguous":
            count = draw(small)
            datatype, starts = datatype.Create_contiguous(count), range(count)
        elif kind == "vector":
            count, length, stride = draw(small), draw(small), draw(st.integers(-3, 3))
            datatype = datatype.Create_vector(count, length, stride)
            starts = [block * stride + k for block in range(count) for k in range(length)]
        else:
            blocks = draw(st.lists(st.tuples(small, st.integers(-4, 4)), max_size=3))
            if kind == "indexed_block":
                length = draw(small)
                blocks = [(length, start) for _, start in blocks]
                datatype = datatype.Create_indexed_block(length, [start for _, start in blocks])
            else:
                datatype = datatype.Create_indexed([length for length, _ in blocks], [start for _, start in blocks])
            starts = [start + k for length, start in blocks for k in range(length)]
        places = [start * extent + place for start in starts for place in places]
    return datatype, places


@settings(max_examples=300, deadline=None)
@given(derived(), small, st.integers(-2, 5))
def test_derived_types_lie_where_mpi_says(both, count, displacement):
    datatype, places = both
    extent = max(places, default=-1) - min(places, default=0) + 1
    wanted = [(displacement + k) * extent + place for k in range(count) for place in places]
    memory = np.arange(100, dtype="i4")
    given, packed = [memory, (count, displacement), datatype], np.zeros(len(wanted), "i4")
    assert (datatype.Get_size(), datatype.Get_extent()[1]) == (4 * len(places), 4 * extent)
    if wanted and not (0 <= min(wanted) and max(wanted) < 100):
        with pytest.raises(ValueError, match="reach elements"):
            MPI.COMM_WORLD.Allgather(given, packed)
        return
    MPI.COMM_WORLD.Allgather(given, packed)
    assert packed.tolist() == wanted
    # And back, where each place is once.
    other = np.full(100, -1, "i4")
    into = [other, (count, displacement), datatype]
    if len(set(places)) == len(places):
        MPI.COMM_WORLD.Allgather(packed, into)
        assert other[wanted].tolist() == wanted and (np.delete(other, wanted) == -1).all()
    else:
        with pytest.raises(ValueError, match="twice"):
            MPI.COMM_WORLD.Allgather(packed, into)
