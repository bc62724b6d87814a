"""Groups of processes: every call at 1, 3 and 4 ranks, and ranks that fail."""

import ast
import pathlib
import socket
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import adsum
from adsum import MPI, _objects
from adsum._mpi.buffers import vector

CALLS = r'''
import math
import numpy as np
from adsum import MPI

comm = MPI.COMM_WORLD
rank, size = comm.Get_rank(), comm.Get_size()
assert (rank, size) == (comm.rank, comm.size)
TYPES = ["i1", "i4", "i8", "u2", "u8", "f2", "f4", "f8"]
contributions = [0.1, 1e16, -1e16, 0.7]
exact = math.fsum(contributions[:size])

for dtype in TYPES:
    mine = np.arange(6, dtype=dtype).reshape(2, 3) + rank
    out = np.empty_like(mine)
    for op, fold in [(MPI.SUM, np.sum), (MPI.PROD, np.prod), (MPI.MIN, np.min), (MPI.MAX, np.max)]:
        all_of_them = np.stack([np.arange(6, dtype=dtype).reshape(2, 3) + r for r in range(size)])
        wanted = fold(all_of_them, axis=0).astype(dtype)
        comm.Allreduce(mine, out, op)
        assert np.array_equal(out, wanted), (dtype, op)
        again = mine.copy()
        comm.Allreduce(MPI.IN_PLACE, again, op=op)
        assert np.array_equal(again, wanted)
        out[...] = 77
        comm.Reduce([mine, MPI.DOUBLE] if dtype == "f8" else mine, out if rank == size - 1 else None, op, size - 1)
        assert np.array_equal(out, wanted if rank == size - 1 else np.full_like(out, 77))
        assert np.array_equal(comm.allreduce(mine, op), wanted)
    everything = np.empty((size, 2, 3), dtype)
    comm.Allgather(mine, everything)
    assert np.array_equal(everything, np.stack([mine - rank + r for r in range(size)]))
    in_place = np.zeros((size, 2, 3), dtype)
    in_place[rank] = mine
    comm.Allgather(MPI.IN_PLACE, in_place)
    assert np.array_equal(in_place, everything)
    there = np.zeros((size, 2, 3), dtype)
    comm.Gather(mine, there if rank == 0 else None, root=0)
    assert np.array_equal(there, everything if rank == 0 else there * 0)
    block = np.empty((2, 3), dtype)
    comm.Scatter(everything if rank == 0 else None, block, root=0)
    assert np.array_equal(block, mine)
    turned = np.empty_like(everything)
    comm.Alltoall(everything, turned)
    assert np.array_equal(turned, np.stack([mine] * size))
    word = mine.copy() if rank == 0 else np.zeros_like(mine)
    comm.Bcast(word, root=0)
    assert np.array_equal(word, mine - rank)
    comm.Scan(mine, out)
    assert np.array_equal(out, sum(mine - rank + r for r in range(rank + 1)))
    comm.Exscan(mine, out)
    assert rank == 0 or np.array_equal(out, sum(mine - rank + r for r in range(rank)))

flags = np.array([True, rank == 0])
both = np.empty_like(flags)
comm.Allreduce(flags, both, MPI.LAND)
assert both.tolist() == [True, size == 1]
comm.Allreduce(flags, both, MPI.LXOR)
assert both.tolist() == [size % 2 == 1, True]

one = np.array([contributions[rank]])
comm.Allreduce(MPI.IN_PLACE, one)
assert one[0] == exact
assert comm.allreduce(contributions[rank]) == exact
assert comm.allreduce(10**30 + rank) == size * 10**30 + size * (size - 1) // 2
assert comm.allreduce(rank + 2, MPI.PROD) == math.prod(range(2, size + 2))
assert comm.allreduce(float(rank), op=MPI.MAX) == size - 1
assert comm.allreduce(rank == 0, MPI.LOR) is True and comm.allreduce(6, MPI.BAND) == 6
assert type(comm.allreduce(np.float32(rank))) is np.float32
assert comm.reduce(rank, MPI.SUM, root=0) == (size * (size - 1) // 2 if rank == 0 else None)
assert comm.scan(1) == rank + 1 and comm.exscan(1) == (rank if rank else None)
thing = {"of": rank, (1, "two"): [None, 2.5, b"x", {3}, np.arange(3)]}
root = size - 1
said = comm.bcast(thing if rank == root else None, root)
assert said["of"] == root and said[1, "two"][-1].tolist() == [0, 1, 2]
assert comm.allgather("r%d" % rank) == ["r%d" % r for r in range(size)]
assert comm.gather(rank, root=root) == (list(range(size)) if rank == root else None)
assert comm.scatter([[r] for r in range(size)] if rank == 0 else None) == [rank]
assert comm.alltoall([(rank, r) for r in range(size)]) == [(r, rank) for r in range(size)]
comm.Barrier()
comm.barrier()

halves = comm.Split(rank % 2, key=-rank)
assert halves.size == len(range(rank % 2, size, 2)) and halves.allgather(rank) == sorted(range(rank % 2, size, 2))[::-1]
nobody = comm.Split(MPI.UNDEFINED)
assert nobody == MPI.COMM_NULL and not nobody and comm and comm != MPI.COMM_NULL
other = comm.Dup()
assert other.allreduce(1) == size
other.Free()
try:
    other.Barrier()
except MPI.Exception as error:
    assert "freed" in str(error)
else:
    raise AssertionError("a freed communicator")
assert MPI.COMM_SELF.size == 1 and MPI.COMM_SELF.allreduce(5) == 5
import sys
# One write, so that lines stay whole.
sys.stdout.write(f"done {rank}\n")
'''


@pytest.mark.parametrize("count", [1, 3, 4])
def test_every_call(ranks, count):
    done = ranks(count, CALLS)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")) == sorted([f"done {rank}" for rank in range(count)] + [""])


def test_a_process_alone_is_a_group_of_one(monkeypatch):
    world = MPI.COMM_WORLD
    assert (world.rank, world.size) == (0, 1) and world.allreduce([1][0]) == 1
    out = np.empty(2)
    world.Allreduce(np.array([1.0, 2.0]), out)
    assert out.tolist() == [1, 2]


def test_what_is_known_of_the_process():
    start = MPI.Wtime()
    assert 0 < MPI.Wtick() < 1 and MPI.Wtime() >= start
    assert MPI.Get_processor_name() == socket.gethostname()
    assert MPI.get_vendor() == ("adsum", tuple(map(int, adsum.__version__.split("."))))
    assert MPI.COMM_WORLD.Get_name() == "MPI_COMM_WORLD" and MPI.Is_initialized()
    assert MPI.Query_thread() == MPI.THREAD_MULTIPLE and not MPI.COMM_WORLD.Is_inter()
    copy = MPI.COMM_SELF.Dup()
    assert copy != MPI.COMM_SELF
    copy.Free()
    assert not copy and copy == MPI.COMM_NULL
    for call in [lambda: copy.rank, lambda: copy.Barrier(), lambda: copy.allreduce(1), lambda: MPI.COMM_NULL.size]:
        with pytest.raises(MPI.Exception, match="freed") as refused:
            call()
        assert refused.value.Get_error_class() == MPI.ERR_COMM


def test_what_is_missing_says_its_name():
    world = MPI.COMM_WORLD
    for name in ["Psend_init", "Create_cart", "Neighbor_alltoall"]:
        with pytest.raises(NotImplementedError, match=f"MPI.Comm.{name}"):
            getattr(world, name)
        with pytest.raises(NotImplementedError, match=f"MPI.Comm.{name}"):
            getattr(MPI.Comm, name)
        assert not hasattr(world, name)
    for name in ["File", "Win", "Open_port"]:
        with pytest.raises(NotImplementedError, match=f"MPI.{name}"):
            getattr(MPI, name)
    with pytest.raises(NotImplementedError, match="MPI.Request.Get_status_all"):
        MPI.Request.Get_status_all([])
    with pytest.raises(NotImplementedError, match="MPI.Datatype.Create_darray"):
        MPI.DOUBLE.Create_darray(1, 0, [4], [1], [1], [1])
    for op in [MPI.REPLACE, MPI.NO_OP]:
        with pytest.raises(NotImplementedError, match=f"{op!r} of buffers"):
            world.Allreduce(MPI.IN_PLACE, np.zeros(2), op)


def test_buffers_that_do_not_fit_are_refused():
    world, x = MPI.COMM_WORLD, np.zeros((4, 4))
    with pytest.raises(ValueError, match="contiguous"):
        world.Allreduce(x[:, 0], np.zeros(4))
    with pytest.raises(ValueError, match="native"):
        world.Allreduce(MPI.IN_PLACE, x.astype(">f8"))
    with pytest.raises(ValueError, match="float32"):
        world.Allreduce(x, np.zeros((4, 4), "f4"))
    with pytest.raises(ValueError, match="read-only"):
        world.Allreduce(MPI.IN_PLACE, np.frombuffer(b"\0" * 8))
    with pytest.raises(ValueError, match="MPI.FLOAT"):
        world.Allreduce([x, MPI.FLOAT], [x.copy(), MPI.FLOAT])
    with pytest.raises(ValueError, match="int8"):
        world.Bcast([np.zeros(8, "i1"), MPI.DOUBLE])
    with pytest.raises(ValueError, match="9 bytes"):
        world.Bcast([bytearray(9), MPI.DOUBLE])
    with pytest.raises(TypeError, match="bool"):
        world.Allreduce(MPI.IN_PLACE, np.array([True]))
    with pytest.raises(TypeError, match="float64"):
        world.Allreduce(MPI.IN_PLACE, x, MPI.BAND)
    for op in [MPI.MAX, MPI.LAND, MPI.BOR]:
        with pytest.raises(TypeError, match="complex"):
            world.Allreduce(MPI.IN_PLACE, np.zeros(2, complex), op)
    pairs = np.zeros(2, [("value", "f8"), ("place", "i4")])
    for op in [MPI.SUM, MPI.MAX, MPI.PROD]:
        with pytest.raises(TypeError, match="value"):
            world.Allreduce(MPI.IN_PLACE, pairs, op)
        for raw in [MPI.BYTE, MPI.CHAR]:
            with pytest.raises(TypeError, match="of no type"):
                world.Allreduce(MPI.IN_PLACE, [x, raw], op)
            with pytest.raises(TypeError, match="of no type"):
                world.Reduce_scatter_block(MPI.IN_PLACE, [x, raw], op)
    with pytest.raises(TypeError, match="MPI.DOUBLE"):
        world.Allreduce(MPI.IN_PLACE, x, MPI.MINLOC)
    with pytest.raises(TypeError, match="filled"):
        world.Allreduce(np.ma.array([1.0], mask=[True]), np.zeros(1))
    with pytest.raises(TypeError, match="Masked"):
        world.allreduce(np.ma.array([1.0], mask=[True]))
    for bad in ["M8[s]", "S3", "O", "g"]:
        with pytest.raises(TypeError):
            world.Allreduce(MPI.IN_PLACE, np.zeros(2, bad))
    with pytest.raises(MPI.Exception, match="root") as refused:
        world.Bcast(x, root=1)
    assert refused.value.Get_error_class() == MPI.ERR_ROOT
    with pytest.raises(ValueError, match="reach elements"):
        world.Bcast([x, 17, MPI.DOUBLE])
    with pytest.raises(ValueError, match="reach elements"):
        world.Bcast([x, (2, -1), MPI.DOUBLE])
    with pytest.raises(ValueError, match="-1 elements"):
        world.Bcast([x, -1])
    with pytest.raises(ValueError, match="parts"):
        world.Bcast([x, 1, 2, 3, MPI.DOUBLE])
    with pytest.raises(ValueError, match="'zz'"):
        world.Bcast([x, "zz"])
    with pytest.raises(ValueError, match="DATATYPE_NULL"):
        world.Bcast([x, MPI.LONG_DOUBLE])
    with pytest.raises(ValueError, match="counts for 1"):
        world.Allgatherv(x, [x.copy(), [1, 2]])
    with pytest.raises(ValueError, match="have element 1"):
        vector([x, [2, 2], [0, 1], MPI.DOUBLE], True, 2)
    assert [span.size for span in vector([x, [2, 2], [0, 1], MPI.DOUBLE], False, 2)] == [2, 2]
    with pytest.raises(TypeError, match="no whole number"):
        world.Bcast([x, 1.5])
    with pytest.raises(TypeError, match="has no memory"):
        world.Bcast(object())
    with pytest.raises(TypeError, match="device"):
        world.Bcast(OnDevice())


class OnDevice:
    """An array as GPUs' libraries have them."""

    __cuda_array_interface__ = {"shape": (1,), "typestr": "<f8", "data": (1 << 40, False), "version": 3}


def test_elements_that_only_other_packages_have():
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    world, x, out = MPI.COMM_WORLD, np.array([1.5, -3], bfloat16), np.zeros(2, bfloat16)
    world.Allreduce(x, out)
    assert out.tolist() == [1.5, -3]
    world.Scan(x, out, MPI.MAX)
    assert out.tolist() == [1.5, -3] and world.allreduce(x).dtype == bfloat16
    MPI.SUM.Reduce_local(x, out)
    assert out.tolist() == [3, -6]
    with pytest.raises(ValueError, match="MPI.SHORT"):
        world.Bcast([x, MPI.SHORT])


def test_objects_are_plain_or_refused():
    for value in [None, True, -1, 2**200, -(2**63), 1.5, 1j, "ä\udc80", b"", bytearray(b"x"), [], (1, [2]), {1}, {"a": (None,)}]:
        back = _objects.loads(_objects.dumps(value))
        assert back == value and type(back) is type(value)
    array = np.arange(6.0).reshape(2, 3).T
    assert np.array_equal(_objects.loads(_objects.dumps(array)), array)
    assert type(_objects.loads(_objects.dumps(np.float32(1)))) is np.float32
    for value in [object(), lambda: 0, np.array([None]), Fraction(1, 3)]:
        with pytest.raises(TypeError, match="pickle"):
            _objects.dumps(value)
    partial = adsum.Partial.from_array([0.1, 1e300])
    back = _objects.loads(_objects.dumps([partial]))[0]
    assert back == partial and back.op == "sum"
    deep = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(ValueError, match="containers"):
        _objects.dumps(deep)
    data = _objects.dumps([1, "two", 3.0])
    for cut in range(len(data)):
        with pytest.raises(ValueError):
            _objects.loads(data[:cut])
    with pytest.raises(ValueError):
        _objects.loads(data + b"N")


def test_pickle_is_for_those_who_ask(monkeypatch):
    value = {"a third": Fraction(1, 3)}
    monkeypatch.setattr(MPI.pickle, "enabled", True)
    data = _objects.dumps(value)
    assert _objects.loads(data) == value and MPI.COMM_WORLD.bcast(value) == value
    monkeypatch.setattr(MPI.pickle, "enabled", False)
    with pytest.raises(ValueError, match="did not ask"):
        _objects.loads(data)


def test_pickle_by_the_environment(ranks, monkeypatch):
    program = """
from fractions import Fraction
from adsum import MPI
comm = MPI.COMM_WORLD
assert comm.allreduce(Fraction(1, 3)) == Fraction(comm.size, 3)
"""
    assert "MPI.pickle.enabled" in ranks(3, program).stderr
    monkeypatch.setenv("ADSUM_PICKLE", "1")
    assert ranks(3, program).returncode == 0


def test_objects_are_folded_as_they_are():
    fold = lambda op, *values: op._fold_objects(list(values))  # noqa: E731
    assert fold(MPI.SUM, 0.1, 1e16, -1e16) == 0.1 and fold(MPI.SUM, 1, 0.5) == 1.5
    assert fold(MPI.SUM, [1], [2, 3]) == [1, 2, 3] and fold(MPI.SUM, "a", "b") == "ab"
    assert fold(MPI.MAX, "a", "c", "b") == "c" and fold(MPI.MIN, (2, 1), (1, 9)) == (1, 9)
    arrays = [np.array([x, 1.0]) for x in [0.1, 1e16, -1e16]]
    assert fold(MPI.SUM, *arrays).tolist() == [0.1, 3.0]
    partials = [adsum.Partial.from_array([x]) for x in [0.1, 1e16, -1e16]]
    assert fold(MPI.SUM, *partials).finish() == 0.1
    assert np.isnan(fold(MPI.MAX, 1.0, np.nan)) and np.isnan(fold(MPI.MAXLOC, (1.0, 0), (np.nan, 1))[0])
    assert fold(MPI.MINLOC, (2.0, 5), (1.0, 7), (1.0, 3)) == (1.0, 3)
    assert fold(MPI.LAND, 2) is True and fold(MPI.LXOR, 1, 2) is False
    with pytest.raises(TypeError, match="no float64"):
        fold(MPI.SUM, 2**53 + 1, 0.5)
    with pytest.raises(TypeError, match="no float64"):
        fold(MPI.SUM, np.int64(2**53 + 1), 0.5)
    with pytest.raises(TypeError, match="shapes"):
        fold(MPI.SUM, np.zeros(2), 1.0)
    with pytest.raises(TypeError, match="integers"):
        fold(MPI.BOR, 1.5, 2)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e300, 1e300) | st.integers(-(2**53), 2**53), min_size=1, max_size=8))
def test_numbers_of_ranks_are_added_exactly(values):
    total = MPI.SUM._fold_objects(values)
    exact = sum(map(Fraction, values))
    assert total == (exact if all(isinstance(value, int) for value in values) else float(exact))
    assert MPI.MAX._fold_objects(values) == max(values) and MPI.MIN._fold_objects(values) == min(values)


def test_stubs_have_what_there_is():
    stubs = ast.parse(pathlib.Path(MPI.__file__).with_suffix(".pyi").read_text()).body
    classes = {node.name: node for node in stubs if isinstance(node, ast.ClassDef)}
    own = {f"_{kind.__name__}": kind for kind in MPI.Comm.__mro__[1:-2]}
    assert own.keys() == {"_Collectives", "_Persistent", "_Objects", "_Buffered", "_Messages"}
    for name in ["Op", "Datatype", "Status", "Request", "Prequest", "Message", *own]:
        kind = own.get(name) or getattr(MPI, name)
        named = {getattr(node, "name", None) or node.target.id for node in classes[name].body}
        state = {"source", "tag", "error", "cancelled"} if name == "Status" else set()
        public = {one for one in vars(kind) if not one.startswith("_")}
        assert public == named - {"__init__", "__call__"} - state, name
        for one in public:
            told = getattr(kind, one).__doc__ or not callable(getattr(kind, one))
            assert told, f"{name}.{one}"
    values = {node.target.id for node in stubs if isinstance(node, ast.AnnAssign)}
    functions = {node.name for node in stubs if isinstance(node, ast.FunctionDef)}
    aliases = {"Intracomm", "Exception", "Comm", "COMM_WORLD", "COMM_SELF"}
    public = {name for name in vars(MPI) if not name.startswith("_")}
    assert public | aliases == values | functions | {one for one in classes if one[0] != "_"} | aliases
