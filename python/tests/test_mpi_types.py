"""Derived types: where their elements lie, and memory by address."""

import array
import ctypes
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from adsum import MPI

small = st.integers(0, 3)
ITEM = 2


@dataclass
class Model:
    """Where MPI's standard says that 16-bit elements are: in bytes, with what bounds."""

    places: list
    lower: int = 0
    upper: int = 0
    is_resized: bool = False

    @property
    def extent(self):
        return self.upper - self.lower

    def joined(self, starts):
        """Copies of it at places in bytes."""
        copies = [start for start in starts if self.places or self.is_resized]
        lower = min((start + self.lower for start in copies), default=0)
        upper = max((start + self.upper for start in copies), default=0)
        if not self.is_resized:
            upper += (lower - upper) % ITEM
        places = [start + place for start in starts for place in self.places]
        return Model(places, lower, upper, self.is_resized)


@st.composite
def by_bytes(draw):
    """A type that is made of any number of others, and its model."""
    datatype, model = MPI.INT16_T, Model([0], 0, ITEM)
    for _ in range(draw(small)):
        kind = draw(st.sampled_from(["hvector", "hindexed", "hindexed_block", "struct", "resized", "dup"]))
        if kind == "hvector":
            count, length, stride = draw(small), draw(small), draw(st.integers(-7, 7))
            datatype = datatype.Create_hvector(count, length, stride)
            starts = [block * stride + k * model.extent for block in range(count) for k in range(length)]
        elif kind == "dup":
            datatype, starts = datatype.Dup(), [0]
        elif kind == "resized":
            lower, extent = draw(st.integers(-4, 4)), draw(st.integers(0, 9))
            datatype = datatype.Create_resized(lower, extent)
            model = Model(model.places, lower, lower + extent, True)
            continue
        else:
            blocks = draw(st.lists(st.tuples(small, st.integers(-9, 9)), max_size=3))
            if kind == "hindexed_block":
                length = draw(small)
                blocks = [(length, start) for _, start in blocks]
                datatype = datatype.Create_hindexed_block(length, [start for _, start in blocks])
            else:
                lengths, places = [length for length, _ in blocks], [start for _, start in blocks]
                datatype = (
                    datatype.Create_hindexed(lengths, places)
                    if kind == "hindexed" or not blocks
                    else MPI.Datatype.Create_struct(lengths, places, [datatype] * len(blocks))
                )
            starts = [start + k * model.extent for length, start in blocks for k in range(length)]
        model = model.joined(starts)
    return datatype, model


@settings(max_examples=400, deadline=None)
@given(by_bytes(), small, st.integers(-1, 3))
def test_types_of_displacements_in_bytes_lie_where_mpi_says(both, count, displacement):
    datatype, model = both
    assert datatype.Get_extent() == (model.lower, model.extent) and datatype.Get_size() == ITEM * len(model.places)
    first, end = min(model.places, default=0), max(model.places, default=-ITEM) + ITEM
    assert (datatype.true_lb, datatype.true_ub) == (first, end)
    wanted = [(displacement + k) * model.extent + place for k in range(count) for place in model.places]
    memory = bytearray(np.random.default_rng(0).integers(0, 256, 200, "u1"))
    given, packed = [memory, (count, displacement), datatype], np.zeros(len(wanted), "i2")
    if wanted and not (0 <= min(wanted) and max(wanted) + ITEM <= len(memory)):
        with pytest.raises(ValueError, match="reach elements"):
            MPI.COMM_WORLD.Allgather(given, packed)
        return
    MPI.COMM_WORLD.Allgather(given, packed)
    assert packed.tobytes() == b"".join(memory[place : place + ITEM] for place in wanted)
    # And back, where no byte is in two of them.
    other = bytearray(len(memory))
    into = [other, (count, displacement), datatype]
    touched = [place + k for place in wanted for k in range(ITEM)]
    once = [place + k for place in model.places for k in range(ITEM)]
    if len(set(touched)) == len(touched) and len(set(once)) == len(once):
        MPI.COMM_WORLD.Allgather(packed, into)
        assert other == bytes(byte if place in touched else 0 for place, byte in enumerate(memory))
    else:
        with pytest.raises(ValueError, match="twice"):
            MPI.COMM_WORLD.Allgather(packed, into)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=3), st.booleans())
def test_subarrays_are_the_slices_of_numpy(axes, is_fortran):
    shape = [before + part + after for part, before, after in axes]
    order = "F" if is_fortran else "C"
    whole = np.arange(2.0 * np.prod(shape)).reshape([2, *shape] if not is_fortran else [*shape, 2], order=order)
    parts, starts = [part for part, _, _ in axes], [before for _, before, _ in axes]
    mpi_order = MPI.ORDER_FORTRAN if is_fortran else MPI.ORDER_C
    datatype = MPI.DOUBLE.Create_subarray(shape, parts, starts, mpi_order).Commit()
    assert (datatype.lb, datatype.extent) == (0, 8 * int(np.prod(shape)))
    inner = tuple(slice(start, start + part) for part, start in zip(parts, starts))
    wanted = [whole[(k, *inner)] if not is_fortran else whole[(*inner, k)] for k in range(2)]
    flat, packed = whole.reshape(-1, order=order), np.zeros(2 * int(np.prod(parts)))
    MPI.COMM_WORLD.Allgather([flat, 2, datatype], packed)
    assert np.array_equal(packed, np.concatenate([part.reshape(-1, order=order) for part in wanted]))


def test_structures_of_several_types_are_moved_and_not_folded():
    world = MPI.COMM_WORLD
    record = np.dtype([("flag", "u1"), ("value", "f8"), ("place", "i4", 2)], align=True)
    rows = np.array([(1, 0.5, (2, 3)), (4, 1.5, (5, 6))], record)
    offsets = [record.fields[name][1] for name in record.names]
    datatype = MPI.Datatype.Create_struct([1, 1, 2], offsets, [MPI.BYTE, MPI.DOUBLE, MPI.INT])
    assert (datatype.size, datatype.extent) == (17, record.itemsize)
    out = np.zeros(2, record)
    world.Allgather([rows, 2, datatype], [out, 2, datatype])
    assert np.array_equal(out, rows)
    status = MPI.Status()
    world.Isend([rows, 2, datatype], 0)
    world.Recv([out, 2, datatype], status=status)
    assert (status.Get_count(datatype), status.Get_count(MPI.INT)) == (2, MPI.UNDEFINED)
    for op in [MPI.SUM, MPI.MAX]:
        with pytest.raises(TypeError, match="SUM|MAX"):
            world.Allreduce(MPI.IN_PLACE, [out, 2, datatype], op)


def test_columns_that_overlap_by_their_extent_are_received_apart():
    grid = np.arange(12.0).reshape(3, 4)
    column = MPI.DOUBLE.Create_vector(3, 1, 4).Create_resized(0, 8)
    turned, back = np.zeros((4, 3)), np.zeros((3, 4))
    MPI.COMM_WORLD.Allgather([grid, 4, column], turned)
    assert np.array_equal(turned, grid.T)
    MPI.COMM_WORLD.Allgather(turned, [back, 4, column])
    assert np.array_equal(back, grid)


def test_sums_of_elements_at_any_byte():
    raw = bytearray(1) + np.array([0.1, 0.2]).tobytes()
    out = np.zeros(2)
    MPI.COMM_WORLD.Allreduce([raw, 1, MPI.DOUBLE.Create_hindexed([2], [1])], out)
    assert out.tolist() == [0.1, 0.2]


BOTTOM = r'''
import array
import sys
import numpy as np
from adsum import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
# Two arrays and a word, anywhere in memory, as one buffer.
x, n, word = np.arange(3.0) + rank, array.array("i", [rank, 7]), bytearray(b"rank%d" % rank)
types = [MPI.DOUBLE, MPI.INT, MPI.CHAR]
both = MPI.Datatype.Create_struct([3, 2, 5], [MPI.Get_address(one) for one in (x, n, word)], types).Commit()
comm.Bcast([MPI.BOTTOM, 1, both], root=size - 1)
assert x.tolist() == [size - 1.0, size, size + 1] and n.tolist() == [size - 1, 7] and word == b"rank%d" % (size - 1)

# Of one type: folded.
x[:] = 0.1 * (rank + 1)
every = MPI.DOUBLE.Create_hindexed([1, 1], [MPI.Get_address(x), MPI.Get_address(x[2:])])
out = np.zeros(2)
comm.Allreduce([MPI.BOTTOM, 1, every], out)
import math
assert out.tolist() == [math.fsum(0.1 * (r + 1) for r in range(size))] * 2
comm.Allreduce(MPI.IN_PLACE, [MPI.BOTTOM, 1, every])
assert [x[0], x[2]] == out.tolist() and x[1] == 0.1 * (rank + 1)

# Messages and blocks.
got = np.zeros(4)
there = MPI.DOUBLE.Create_hindexed([4], [MPI.Get_address(got)])
request = comm.Irecv([MPI.BOTTOM, 1, there], (rank - 1) % size)
comm.Send(np.full(4, float(rank)), (rank + 1) % size)
request.Wait()
assert got.tolist() == [(rank - 1) % size] * 4
here = np.arange(float(size)) + 10 * rank
from_here = [MPI.DOUBLE.Create_hindexed([1], [MPI.Get_address(here) + 8 * r]) for r in range(size)]
back = np.zeros(size)
to_there = [MPI.Datatype.Create_struct([1], [MPI.Get_address(back) + 8 * r], [MPI.DOUBLE]) for r in range(size)]
comm.Alltoallw([MPI.BOTTOM, ([1] * size, [0] * size), from_here], [MPI.BOTTOM, ([1] * size, [0] * size), to_there])
assert back.tolist() == [rank + 10 * r for r in range(size)]
sys.stdout.write(f"done {rank}\n")
'''


@pytest.mark.parametrize("count", [1, 3])
def test_memory_by_address(ranks, count):
    done = ranks(count, BOTTOM)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")) == sorted([f"done {rank}" for rank in range(count)] + [""])


def test_addresses_where_nothing_is_are_refused():
    world, x = MPI.COMM_WORLD, np.zeros(2)
    for datatype in [MPI.DOUBLE, MPI.DOUBLE.Create_vector(2, 1, 2), MPI.DOUBLE.Create_hindexed([1, 1], [0, 1 << 40])]:
        with pytest.raises(ValueError, match="address 0, where no memory is"):
            world.Bcast([MPI.BOTTOM, 1, datatype])
    with pytest.raises(ValueError, match="address -8"):
        world.Bcast([MPI.BOTTOM, (1, -1), MPI.DOUBLE])
    at = MPI.DOUBLE.Create_hindexed([2], [MPI.Get_address(x)])
    for bad in [MPI.BOTTOM, [MPI.BOTTOM], [MPI.BOTTOM, 2]]:
        with pytest.raises(ValueError, match="give \\[MPI.BOTTOM, count, type\\]"):
            world.Bcast(bad)
    with pytest.raises(ValueError, match="no length"):
        world.Bcast([MPI.BOTTOM, at])
    for bad in [[MPI.BOTTOM, at], [MPI.BOTTOM, None, [0], at]]:
        with pytest.raises(ValueError, match="no length"):
            world.Allgatherv(bad, [MPI.BOTTOM, None, at])
    with pytest.raises(ValueError, match="no length"):
        world.Alltoallw([x, [at]], [MPI.BOTTOM, [at]])
    # Of a type of addresses no array has them.
    with pytest.raises(ValueError, match="reach elements"):
        world.Bcast([x, 1, at])
    world.Bcast([MPI.BOTTOM, 0, MPI.DOUBLE])
    for nothing in [1.5, object(), [1.0]]:
        with pytest.raises(TypeError, match="no memory|no array"):
            MPI.Get_address(nothing)


def test_addresses_are_those_of_memory():
    x, raw = np.arange(4.0), (ctypes.c_char * 4)()
    assert MPI.Get_address(x) == x.ctypes.data and MPI.Get_address(x[2:]) == x.ctypes.data + 16
    assert MPI.Get_address(raw) == ctypes.addressof(raw) and MPI.Get_address(MPI.BOTTOM) == 0
    ints = array.array("i", [1, 2])
    assert MPI.Get_address(ints) == ints.buffer_info()[0]
    assert MPI.Aint_diff(MPI.Aint_add(100, 8), 96) == 12


def test_types_that_there_are_not_say_so():
    x = np.zeros(2, "g")
    for call in [
        lambda: MPI.COMM_WORLD.Bcast([x, MPI.LONG_DOUBLE]),
        lambda: MPI.LONG_DOUBLE.Create_contiguous(2),
        lambda: MPI.Datatype.Create_struct([1], [0], [MPI.LONG_DOUBLE_INT]),
        lambda: MPI.LONG_DOUBLE.Get_extent(),
        lambda: MPI.Status().Get_count(MPI.LONG_DOUBLE),
        lambda: MPI.COMM_WORLD.Bcast([MPI.BOTTOM, 1, MPI.LONG_DOUBLE]),
        lambda: MPI.LONG_DOUBLE.Create_resized(0, 16),
        lambda: MPI.DATATYPE_NULL.tocode(),
    ]:
        with pytest.raises(ValueError, match="no long double"):
            call()
    for wrong in [
        lambda: MPI.INT.Create_hvector(-1, 1, 4),
        lambda: MPI.INT.Create_resized(0, -1),
        lambda: MPI.INT.Create_subarray([4], [2], [3]),
        lambda: MPI.INT.Create_subarray([4], [2], [1], 5),
        lambda: MPI.Datatype.Create_struct([1, 2], [0, 4], [MPI.INT]),
        lambda: MPI.Datatype.fromcode("zz"),
    ]:
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError):
        MPI.INT.Create_hindexed([1], [1.5])
    with pytest.raises(TypeError, match="no type"):
        MPI.Datatype(3)
    assert MPI.Datatype(MPI.INT) == MPI.INT and MPI.Datatype() == MPI.DATATYPE_NULL and MPI.INT != MPI.INT32_T
