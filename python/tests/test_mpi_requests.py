"""Calls that are begun and waited for later, and messages."""

import numpy as np
import pytest

from adsum import MPI

REQUESTS = r'''
import sys
import numpy as np
from adsum import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
x = np.arange(1000.0) + rank
total = sum(np.arange(1000.0) + r for r in range(size))

# All kinds at once, waited for in the wrong order; what was sent is changed meanwhile.
results = [np.zeros(1000) for _ in range(3)]
several = np.zeros((size, 1000))
own = np.zeros(1000)
word = np.full(5, 7.0) if rank == size - 1 else np.zeros(5)
given = x.copy()
requests = [
    comm.Iallreduce(given, results[0]),
    comm.Iscan(given, results[1], MPI.MAX),
    comm.Iallgather(given, several),
    comm.Ireduce(given, results[2], root=0),
    comm.Ibcast(word, root=size - 1),
    comm.Ibarrier(),
    comm.Iscatter(np.tile(np.arange(1000.0), size) if rank == 0 else None, own),
]
given[:] = -1
for request in requests[::-1]:
    assert request and request.Wait() is True and not request
assert np.array_equal(results[0], total) and np.array_equal(results[1], x)
assert np.array_equal(results[2], total if rank == 0 else np.zeros(1000))
assert np.array_equal(several, [np.arange(1000.0) + r for r in range(size)])
assert word.tolist() == [7] * 5 and np.array_equal(own, np.arange(1000.0))

# Test comes true by itself, and all of them together.
requests = [comm.Iallreduce(x, results[0]), comm.Iexscan(x, results[1])]
while not MPI.Request.Testall(requests):
    pass
assert np.array_equal(results[0], total)
assert rank == 0 or np.array_equal(results[1], sum(np.arange(1000.0) + r for r in range(rank)))

# Objects round the ring, and a message to itself.
right, left = (rank + 1) % size, (rank - 1) % size
got = comm.irecv(source=left, tag=3)
comm.isend({"from": rank}, dest=right, tag=3).wait()
assert got.wait() == {"from": left} and got.wait() is None and not got
assert comm.sendrecv(rank, dest=right, source=left) == left
values = MPI.Request.waitall([comm.isend(5, rank), comm.irecv(source=rank)])
assert values == [None, 5]

# By tag, and not by order.
status = MPI.Status()
if rank == 0:
    for to in range(1, size):
        comm.send("two", to, tag=2)
        comm.send("one", to, tag=1)
else:
    assert comm.recv(source=0, tag=1, status=status) == "one" and (status.source, status.tag) == (0, 1)
    assert comm.recv(source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG, status=status) == "two" and status.Get_tag() == 2

# From anybody. A rank that is further than rank 0 must not be heard in what asks
# for any message: the ranks wait for each other before and after.
comm.barrier()
if rank == 0:
    found = {}
    for _ in range(size - 1):
        value = comm.recv(status=status)
        found[status.Get_source()] = value
    assert found == {r: r * r for r in range(1, size)}
else:
    comm.send(rank * rank, 0)
comm.barrier()

# Buffers: shorter than there is room for, and longer.
big = np.arange(300_000.0) + rank
room = np.full(300_010, -1.0)
comm.Sendrecv(big, right, 9, room, left, 9, status)
assert np.array_equal(room[:300_000], np.arange(300_000.0) + left) and (room[300_000:] == -1).all()
assert status.Get_count(MPI.DOUBLE) == 300_000 and status.count == 2_400_000 and status.source == left
comm.Sendrecv_replace(big, right, source=left)
assert np.array_equal(big, np.arange(300_000.0) + left)
comm.Send([big, 2, MPI.DOUBLE], rank)
try:
    comm.Recv(np.zeros(1), rank)
except MPI.Exception as error:
    assert error.Get_error_class() == MPI.ERR_TRUNCATE and "2 elements" in str(error)
else:
    raise AssertionError("a message without room")
comm.Send(np.zeros(2, "f4"), rank)
try:
    comm.Recv(np.zeros(2), rank)
except MPI.Exception as error:
    assert error.Get_error_class() == MPI.ERR_TYPE and "float32" in str(error), error
else:
    raise AssertionError("a message of another type")

# At the edges nobody is.
edge = np.full(1, 5.0)
comm.Sendrecv(np.zeros(1), MPI.PROC_NULL, 0, edge, MPI.PROC_NULL, 0, status)
assert edge[0] == 5 and status.source == MPI.PROC_NULL and status.count == 0
assert comm.recv(source=MPI.PROC_NULL) is None
sys.stdout.write(f"done {rank}\n")
'''


@pytest.mark.parametrize("count", [1, 3, 4])
def test_every_request_and_message(ranks, count):
    done = ranks(count, REQUESTS)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")) == sorted([f"done {rank}" for rank in range(count)] + [""])


def test_ranks_and_tags_that_there_are_not():
    world = MPI.COMM_WORLD
    for call, error_class in [
        (lambda: world.send(1, 1), MPI.ERR_RANK),
        (lambda: world.send(1, MPI.ANY_SOURCE), MPI.ERR_RANK),
        (lambda: world.recv(source=-5), MPI.ERR_RANK),
        (lambda: world.send(1, 0, tag=-1), MPI.ERR_TAG),
        (lambda: world.Irecv(np.zeros(1), 0, 2**31), MPI.ERR_TAG),
    ]:
        with pytest.raises(MPI.Exception) as refused:
            call()
        assert refused.value.Get_error_class() == error_class


def test_an_error_of_one_request_leaves_the_others():
    world = MPI.COMM_WORLD
    out = np.zeros(2)
    requests = [world.Isend(np.ones(2), 0, 1), world.Irecv(np.zeros(1), 0, 1), world.Iallreduce(np.ones(2), out)]
    with pytest.raises(MPI.Exception, match="in a buffer of 1"):
        MPI.Request.Waitall(requests)
    assert out.tolist() == [1, 1] and not any(requests)
    assert MPI.Request.testall([MPI.REQUEST_NULL]) == (True, [None])


def test_a_request_that_ends_while_several_are_looked_at(monkeypatch):
    comm = MPI.COMM_SELF
    first, last = comm.Irecv(np.empty(1), 0, 1), comm.Irecv(np.empty(1), 0, 2)
    look, sent = type(first._call).test, []

    def test(call):
        found = look(call)
        if call is last._call and not sent:
            # After the look at the first.
            sent.append(comm.Send(np.ones(1), 0, 1))
        return found

    monkeypatch.setattr(type(first._call), "test", test)
    assert MPI.Request.Waitany([first, last]) == 0
    comm.Send(np.ones(1), 0, 2)
    last.Wait()


def test_a_message_stays_where_it_does_not_fit():
    comm = MPI.COMM_SELF
    sent = comm.Isend(np.arange(4.0), 0, 0)
    message = comm.Mprobe()
    with pytest.raises(MPI.Exception, match="float64.*float32"):
        message.Recv(np.empty(4, "f4"))
    found = np.empty(4)
    message.Recv(found)
    sent.Wait()
    assert np.array_equal(found, np.arange(4.0))
