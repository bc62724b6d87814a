"""Sends that last until they are received, probes, waiting for some of many, calls made again and again."""

import signal

import numpy as np
import pytest

from adsum import MPI

PROGRAM = r'''
import functools
import sys
import numpy as np
from adsum import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
right, left = (rank + 1) % size, (rank - 1) % size
status = MPI.Status()

def refused(error_class, call):
    try:
        call()
    except MPI.Exception as error:
        assert error.Get_error_class() == error_class, error
        return str(error)
    raise AssertionError("not refused")

# Nothing of what is sent so ends before the other rank receives it.
for data in [np.empty(0), np.arange(3.0) + rank, np.full(200_000, float(rank))]:
    request = comm.Issend(data, right, 1)
    comm.Barrier()
    assert not request.Test() and not request.Get_status() and request
    comm.Barrier()
    got = np.empty_like(data)
    comm.Probe(left, 1, status)
    assert (status.source, status.tag, status.Get_count(MPI.DOUBLE)) == (left, 1, data.size)
    comm.Recv(got, left, 1)
    request.Wait()
    assert not request and np.array_equal(got, data - rank + left)
received = comm.irecv(source=left)
comm.ssend({"from": rank}, right)
assert received.wait() == {"from": left}

# What a probe tells of stays until it is received; what one takes nobody else has.
assert not comm.Iprobe(status=status) and status.source == MPI.ANY_SOURCE and comm.Improbe() is None
comm.Barrier()
comm.send("text", right, 4)
comm.Isend(np.arange(2.0, dtype="f4"), right, 5)
while not comm.iprobe(left, 5, status):
    pass
assert status.Get_count(MPI.FLOAT) == 2 and status.Get_tag() == 5
message = comm.Mprobe(left, 5, status)
assert status.Get_count() == 8 and message and not comm.Iprobe(left, 5) and comm.Improbe(left, 5) is None
said = refused(MPI.ERR_TYPE, lambda: MPI.Message(message).Recv(np.zeros(2)))
assert "8 bytes of float32, float64" in said
assert "in a buffer of 1" in refused(MPI.ERR_TRUNCATE, lambda: MPI.Message(message).Recv(np.zeros(1, "f4")))
pair = np.zeros(2, "f4")
message.Recv(pair)
assert pair.tolist() == [0, 1] and not message
refused(MPI.ERR_REQUEST, lambda: message.Recv(pair))
assert comm.mprobe(left, 4).recv() == "text"
assert comm.Mprobe(MPI.PROC_NULL) == MPI.MESSAGE_NO_PROC and MPI.MESSAGE_NO_PROC.recv() is None
flags = comm.Isend(np.array([True, False]), right, 6)
taken = np.zeros(2, bool)
comm.Mprobe(left, 6).Irecv(taken).Wait(status)
assert taken.tolist() == [True, False] and status.source == left

# Whichever comes first, one, some or all of them.
comm.Barrier()
requests = [comm.irecv(source=left, tag=tag) for tag in range(6)]
assert MPI.Request.testany(requests) == (MPI.UNDEFINED, False, None)
assert MPI.Request.testsome(requests) == ([], [])
comm.Barrier()
comm.send("four", right, 4)
assert MPI.Request.waitany(requests, status) == (4, "four") and status.tag == 4 and not requests[4]
comm.Barrier()
for tag in [3, 1]:
    comm.ssend(tag, right, tag)
found, statuses = {}, []
while len(found) < 2:
    indices, values = MPI.Request.waitsome(requests, statuses)
    assert [one.tag for one in statuses[: len(indices)]] == indices
    found.update(zip(indices, values))
assert found == {1: 1, 3: 3}
comm.Barrier()
for tag in [5, 0, 2]:
    comm.send(tag, right, tag)
statuses = []
assert MPI.Request.waitall(requests, statuses) == [0, None, 2, None, None, 5] and not any(requests)
assert [one.tag for one in statuses] == [0, -1, 2, -1, -1, 5]
assert MPI.Request.Waitany(requests) == MPI.UNDEFINED and MPI.Request.Waitsome(requests) is None
assert MPI.Request.Testany(requests) == (MPI.UNDEFINED, True) and MPI.Request.Testsome(requests) is None

# Both ways at once, of more than goes unasked, and one to oneself that ends first.
comm.Barrier()
big, got, little = np.full(200_000, float(rank)), np.zeros(200_000), np.zeros(1)
requests = [comm.Isendrecv(big, right, 7, got, left, 7), comm.Irecv(little, rank, 8)]
comm.Send(np.ones(1), rank, 8)
ended = [MPI.Request.Waitany(requests, status), MPI.Request.Waitany(requests, status)]
assert sorted(ended) == [0, 1] and little[0] == 1 and (got == left).all()
comm.Isendrecv_replace(big, right, 7, left, 7).Wait(status)
assert (big == left).all() and (status.source, status.Get_count(MPI.DOUBLE)) == (left, 200_000)
comm.Isendrecv(None, MPI.PROC_NULL, 0, None, MPI.PROC_NULL).Wait(status)
assert status.source == MPI.PROC_NULL

# A receive for which nothing came is taken back; what is sent later is for others.
comm.Barrier()
request = comm.irecv(source=left, tag=9)
request.Cancel()
assert request.Get_status(status) and status.Is_cancelled() and request
assert request.wait() is None and not request
comm.Barrier()
comm.send("later", right, 9)
request = comm.irecv(source=left, tag=9)
while not request.Get_status(status):
    pass
request.Cancel()
assert status.tag == 9 and request.wait(status) == "later" and not status.Is_cancelled()
refused(MPI.ERR_REQUEST, request.Cancel)
barrier = comm.Ibarrier()
refused(MPI.ERR_REQUEST, barrier.Cancel)
barrier.Wait()

# Again and again, with what the buffers have then.
given, got, total = np.zeros(3), np.zeros(3), np.zeros(3)
calls = [comm.Send_init(given, right, 2), comm.Recv_init([got, MPI.DOUBLE], left, 2), comm.Allreduce_init(given, total)]
for turn in range(3):
    given[:] = rank + turn
    assert all(calls) and MPI.Request.Testall(calls)
    MPI.Prequest.Startall(calls)
    refused(MPI.ERR_REQUEST, calls[0].Start)
    MPI.Request.Waitall(calls)
    assert got.tolist() == [left + turn] * 3 and total.tolist() == [sum(range(size)) + size * turn] * 3
for call in calls:
    call.Free()
    assert not call and call == MPI.REQUEST_NULL
    refused(MPI.ERR_REQUEST, call.Start)

# All of them send at once, more than goes unasked.
MPI.Attach_buffer(MPI.Alloc_mem(100))
big, got = np.full(100_000, float(rank)), np.zeros(100_000)
comm.Bsend(big, right, 3)
big[:] = -1
comm.Recv(got, left, 3)
assert (got == left).all() and MPI.Detach_buffer().size == 100

# What is folded here, of more elements than are sent to all, in rank order.
def digits(a, b, datatype):
    a, b = np.frombuffer(a, "i8"), np.frombuffer(b, "i8")
    np.add(a * 10, b, out=b)

pairs = np.zeros(50_002, np.dtype([("v", "f8"), ("i", "i4")], align=True))
pairs["v"], pairs["i"] = (np.arange(50_002) * 7 + rank * 3) % 11, rank
every = [(np.arange(50_002) * 7 + r * 3) % 11 for r in range(size)]
numbers = np.arange(30_001) % 7 + rank
shown = functools.reduce(lambda a, b: a * 10 + b, [np.arange(30_001) % 7 + r for r in range(size)])
op = MPI.Op.Create(digits)
for root in [None, size - 1]:
    here = root in (None, rank)
    call = comm.Allreduce if root is None else functools.partial(comm.Reduce, root=root)
    out, least = np.zeros(30_001, "i8"), np.zeros_like(pairs)
    call(numbers, out if here else None, op)
    assert np.array_equal(out, shown if here else np.zeros(30_001))
    call([pairs, MPI.DOUBLE_INT], [least, MPI.DOUBLE_INT] if here else None, MPI.MINLOC)
    assert not here or (np.array_equal(least["v"], np.min(every, axis=0)) and np.array_equal(least["i"], np.argmin(every, axis=0)))
in_place = numbers.copy()
comm.Allreduce(MPI.IN_PLACE, [in_place[:-1], 15_000, MPI.LONG.Create_contiguous(2)], op)
assert np.array_equal(in_place[:-1], shown[:-1]) and in_place[-1] == numbers[-1]

# Where the function of one rank fails nobody waits.
def fails(a, b, datatype):
    if rank == size - 1:
        raise KeyError("of mine")

try:
    comm.Allreduce(numbers, out, MPI.Op.Create(fails))
except KeyError:
    assert rank == size - 1
except MPI.Exception as error:
    assert rank < size - 1 and f"failed at rank {size - 1}" in str(error)
else:
    assert size == 1, "a sum without a part"
comm.Barrier()
sys.stdout.write(f"done {rank}\n")
'''


@pytest.mark.parametrize("count", [1, 3, 4])
def test_every_message(ranks, count):
    done = ranks(count, PROGRAM)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")) == sorted([f"done {rank}" for rank in range(count)] + [""])


ENDS = r'''
import sys
import numpy as np
from adsum import MPI

comm = MPI.COMM_WORLD
if comm.rank == 0:
    comm.Bsend(np.arange(300_000.0), 1)
    comm.send("that was all", 1, 1)
else:
    # Rank 0 has nothing more to do than to end.
    assert comm.recv(source=0, tag=1) == "that was all"
    got = np.zeros(300_000)
    comm.Recv(got, 0, 0)
    assert np.array_equal(got, np.arange(300_000.0))
    sys.stdout.write("all there\n")
'''


def test_the_end_of_a_program_waits_for_what_it_sent(ranks):
    done = ranks(2, ENDS)
    assert (done.returncode, done.stdout) == (0, "all there\n"), done.stderr


def test_a_signal_ends_the_waiting_and_leaves_the_requests():
    world, out = MPI.COMM_WORLD, np.zeros(2)
    requests = [world.Irecv(out, 0, 1), world.irecv(source=0, tag=2)]

    def raises(_number, _frame):
        raise TimeoutError("it has been long enough")

    before = signal.signal(signal.SIGALRM, raises)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError, match="long enough"):
            MPI.Request.Waitany(requests)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert all(requests)
    world.Send(np.array([1.0, 2.0]), 0, 1)
    assert MPI.Request.Waitany(requests) == 0 and out.tolist() == [1, 2]
    requests[1].Cancel()
    MPI.Request.Waitall(requests)


def test_states_are_copied_and_told():
    status = MPI.Status()
    status.Set_elements(MPI.DOUBLE, 3)
    status.source, status.cancelled = 2, True
    copy = MPI.Status(status)
    assert (copy.count, copy.Get_count(MPI.DOUBLE), copy.Get_source(), copy.Is_cancelled()) == (24, 3, 2, True)
    assert copy.Get_count(MPI.DOUBLE.Create_contiguous(2)) == MPI.UNDEFINED
    assert copy.Get_elements(MPI.DOUBLE.Create_contiguous(2)) == 3
    with pytest.raises(TypeError, match="no status"):
        MPI.Status(3)
    with pytest.raises(TypeError, match="no request"):
        MPI.Request(3)
    with pytest.warns(UserWarning, match="source="):
        MPI.COMM_WORLD.recv(0, MPI.PROC_NULL)
    request = MPI.COMM_WORLD.Issend(np.zeros(1), 0)
    assert MPI.Request(request) == request != MPI.REQUEST_NULL
    MPI.COMM_WORLD.Recv(np.zeros(1))
    request.Wait()
    MPI.Attach_buffer(bytearray(1))
    with pytest.raises(ValueError, match="attached"):
        MPI.Attach_buffer(bytearray(1))
    assert MPI.Detach_buffer() == bytearray(1) and MPI.Detach_buffer() is None
