"""Groups of processes: every call at 1, 3 and 4 ranks, and ranks that fail."""

import pathlib
import time

import numpy as np
import pytest

from adsum import MPI, _objects

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"

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
assert comm.Split(MPI.UNDEFINED) is None
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


@pytest.mark.parametrize("thread", [False, True])
def test_an_exception_at_one_rank_ends_the_job(ranks, thread):
    start = time.monotonic()
    done = ranks(3, f'''
import threading, time
from adsum import MPI
comm = MPI.COMM_WORLD
comm.Barrier()
if {thread} and comm.rank == 1:
    threading.Thread(target=time.sleep, args=(600,)).start()
if comm.rank == 1:
    raise KeyError("at rank one")
comm.Barrier()
comm.allreduce(1)
''')
    assert done.returncode != 0 and "at rank one" in done.stderr
    assert time.monotonic() - start < 30


def test_a_rank_that_leaves_early_is_an_error_and_not_a_hang(ranks):
    done = ranks(3, '''
import sys
from adsum import MPI
comm = MPI.COMM_WORLD
if comm.rank == 2:
    sys.exit(0)
try:
    comm.allreduce(1)
except MPI.Exception as error:
    print("told", comm.rank, error, flush=True)
''')
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("told") == 2


def test_what_the_last_call_sent_arrives(ranks):
    done = ranks(3, '''
import numpy as np
from adsum import MPI
comm = MPI.COMM_WORLD
data = np.ones(1_000_000) if comm.rank == 0 else np.zeros(1_000_000)
comm.Bcast(data)
assert data.sum() == 1e6
''')
    assert done.returncode == 0, done.stderr


def test_ranks_that_call_differently_are_told(ranks):
    done = ranks(2, '''
import numpy as np
from adsum import MPI
comm = MPI.COMM_WORLD
x = np.zeros(2 + comm.rank)
try:
    comm.Allreduce(MPI.IN_PLACE, x)
except MPI.Exception:
    print("told", flush=True)
''')
    assert (done.returncode, done.stdout.count("told")) == (0, 2), done.stderr


def test_what_is_missing_says_its_name():
    world = MPI.COMM_WORLD
    for name in ["Isend", "Allgatherv", "Create_cart", "irecv"]:
        with pytest.raises(NotImplementedError, match=f"MPI.Comm.{name}"):
            getattr(world, name)
    for name in ["File", "Win", "Status", "MINLOC"]:
        with pytest.raises(NotImplementedError, match=f"MPI.{name}"):
            getattr(MPI, name)
    with pytest.raises(NotImplementedError, match="Create"):
        MPI.Op.Create(lambda a, b, t: None)


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
    with pytest.raises(TypeError, match="MPI.FLOAT"):
        world.Allreduce([x, MPI.FLOAT], [x.copy(), MPI.FLOAT])
    with pytest.raises(TypeError, match="bool"):
        world.Allreduce(MPI.IN_PLACE, np.array([True]))
    with pytest.raises(TypeError, match="float64"):
        world.Allreduce(MPI.IN_PLACE, x, MPI.BAND)
    with pytest.raises(TypeError, match="complex"):
        world.Allreduce(MPI.IN_PLACE, np.zeros(2, complex))
    with pytest.raises(ValueError, match="root"):
        world.Bcast(x, root=1)


def test_objects_are_plain_or_refused():
    for value in [None, True, -1, 2**200, -(2**63), 1.5, 1j, "ä\udc80", b"", bytearray(b"x"), [], (1, [2]), {1}, {"a": (None,)}]:
        back = _objects.loads(_objects.dumps(value))
        assert back == value and type(back) is type(value)
    array = np.arange(6.0).reshape(2, 3).T
    assert np.array_equal(_objects.loads(_objects.dumps(array)), array)
    assert type(_objects.loads(_objects.dumps(np.float32(1)))) is np.float32
    for value in [object(), lambda: 0, np.array([None]), EXAMPLES]:
        with pytest.raises(TypeError, match="pickle"):
            _objects.dumps(value)
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


def test_the_examples(ranks, tmp_path):
    done = ranks(4, EXAMPLES / "mpi_sum.py")
    assert done.returncode == 0, done.stderr
    data = np.load(tmp_path / "data.npy")
    assert f"total {4 * data.sum():.6f}" in done.stdout, "every rank adds all of it: the third fault"
    done = ranks(4, EXAMPLES / "each_once.py")
    assert done.returncode == 0, done.stderr
    import math

    assert f"total {math.fsum(np.load(tmp_path / 'data.npy'))!r}\n" == done.stdout
