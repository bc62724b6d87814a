"""Ranks that fail, leave, differ, or are interrupted: nobody waits for ever."""

import os
import signal
import subprocess
import sys
import time

import pytest


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


@pytest.mark.parametrize(
    "call",
    [
        "comm.Allreduce(MPI.IN_PLACE, np.zeros(2 + comm.rank))",
        "comm.Allreduce(MPI.IN_PLACE, np.zeros(2, ['f4', 'f8'][comm.rank]))",
        "comm.Allreduce(MPI.IN_PLACE, np.zeros(2), [MPI.SUM, MPI.MAX][comm.rank])",
        "comm.Bcast(np.zeros(2, ['i8', 'f8'][comm.rank]))",
        "comm.Bcast(np.zeros(2), root=comm.rank)",
        "comm.Allgatherv(np.zeros(1, kind), [np.zeros(2, kind), [1, 1]])",
        "comm.Allreduce(MPI.IN_PLACE, np.zeros(2, 'f8,i4'), [MPI.MINLOC, MPI.MAXLOC][comm.rank])",
        "comm.Allreduce(MPI.IN_PLACE, np.zeros(2, ['f4,i4', 'i4,i4'][comm.rank]), MPI.MINLOC)",
        "comm.Reduce_scatter_block(np.zeros(2), np.zeros(1), [MPI.SUM, own][comm.rank])",
        "comm.Reduce_scatter_block(np.zeros(2, complex), np.zeros(1, complex), [MPI.PROD, own][comm.rank])",
        "comm.allreduce(1, [MPI.SUM, MPI.MAX][comm.rank])",
        "comm.scan(1.5, [MPI.SUM, own][comm.rank])",
        "[comm.Barrier, lambda: comm.allreduce(1)][comm.rank]()",
        "comm.allreduce([1.5, np.ones(2)][comm.rank])",
    ],
)
def test_ranks_that_call_differently_are_told(ranks, call):
    done = ranks(2, f"""
import numpy as np
from adsum import MPI
comm = MPI.COMM_WORLD
kind = ["i8", "f8"][comm.rank]
own = MPI.Op.Create(lambda a, b, datatype: None)
try:
    {call}
    # Where the call itself needed nothing of the others.
    comm.Barrier()
except MPI.Exception as error:
    print("told", flush=True)
""")
    assert (done.returncode, done.stdout.count("told")) == (0, 2), done.stderr


def test_a_block_of_another_length_than_said_is_an_error(ranks):
    done = ranks(2, """
import numpy as np
from adsum import MPI
comm = MPI.COMM_WORLD
out = np.full(4, -1.0)
try:
    comm.Gatherv(np.zeros(1 + comm.rank), [out, [1, 3]] if comm.rank == 0 else None)
except MPI.Exception as error:
    assert error.Get_error_class() == MPI.ERR_TRUNCATE, error
    print("told", flush=True)
comm.Barrier()
""")
    assert (done.returncode, done.stdout.count("told")) == (0, 1), done.stderr


def test_threads_with_communicators_of_their_own_do_not_meet(ranks):
    done = ranks(3, """
import threading
import numpy as np
from adsum import MPI
comm = MPI.COMM_WORLD
found = {}
def work(own, which):
    for turn in range(50):
        x = np.full(100, float(which * 1000 + turn))
        own.Allreduce(MPI.IN_PLACE, x)
        assert (x == own.size * (which * 1000 + turn)).all()
        assert own.allgather((which, turn)) == [(which, turn)] * own.size
    found[which] = True
threads = [threading.Thread(target=work, args=(comm.Dup(), which)) for which in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sorted(found) == [0, 1, 2, 3]
""")
    assert done.returncode == 0, done.stderr


def test_an_abort_ends_the_job_with_its_code(ranks):
    done = ranks(3, """
from adsum import MPI
comm = MPI.COMM_WORLD
comm.Barrier()
if comm.rank == 2:
    comm.Abort(7)
comm.Barrier()
""")
    assert done.returncode != 0 and "7" in done.stderr


def test_a_failing_function_of_an_operation_is_an_error_and_not_a_hang(ranks):
    done = ranks(3, """
import numpy as np
from adsum import MPI
comm = MPI.COMM_WORLD
def fold(a, b, datatype):
    raise KeyError("in the function")
try:
    comm.Allreduce(MPI.IN_PLACE, np.zeros(3), MPI.Op.Create(fold))
except KeyError as error:
    print("told", flush=True)
comm.Barrier()
""")
    assert (done.returncode, done.stdout.count("told")) == (0, 3), done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize(
    "call", ["comm.Barrier()", "comm.Allreduce(MPI.IN_PLACE, x)", "comm.Bcast(x)", "comm.Iscan(x, x.copy()).Wait()",
             "comm.recv(source=0)", "comm.bcast(None)", "comm.Dup()"]
)
def test_ctrl_c_ends_a_call_that_waits(ranks, call):
    done = ranks(2, f"""
import os, signal, threading, time
import numpy as np
from adsum import MPI
comm = MPI.COMM_WORLD
x = np.zeros(100_000)
comm.Barrier()
if comm.rank == 1:
    counted = 0
    def interrupt():
        # It runs only because the GIL is not held by who waits.
        global counted
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            counted += 1
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    start = time.monotonic()
    try:
        {call}
    except KeyboardInterrupt:
        assert counted > 1000 and time.monotonic() - start < 10
        print("interrupted", flush=True)
    try:
        comm.Barrier()
    except MPI.Exception as error:
        assert error.Get_error_class() == MPI.ERR_COMM, error
        print("given back", flush=True)
else:
    try:
        # What the other rank waits for does not come.
        comm.recv(source=1)
    except MPI.Exception as error:
        assert error.Get_error_class() == MPI.ERR_PROC_FAILED, error
        print("told", flush=True)
""")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == sorted("interrupted given back told".split()), done.stdout


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
def test_ctrl_c_at_the_terminal_ends_the_job(adsum_command, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("""
from adsum import MPI
comm = MPI.COMM_WORLD
comm.Barrier()
print("waits", flush=True)
if comm.rank == 0:
    comm.recv(source=1)
else:
    comm.recv(source=0)
""")
    command = [adsum_command, "run", "-n", "2", "--", sys.executable, str(program)]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    for _ in range(2):
        assert "waits" in running.stdout.readline()
    os.killpg(running.pid, signal.SIGINT)
    said, _ = running.communicate(timeout=30)
    assert running.returncode != 0, said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_no_rank_and_leaves_the_group_of_its_parent_alone(ranks):
    done = ranks(2, """
import os, sys
import numpy as np
from adsum import MPI
comm = MPI.COMM_WORLD
part = comm.Split(0, comm.rank)
request = comm.Irecv(np.zeros(1), source=comm.rank)
child = os.fork()
if child == 0:
    for call in [comm.Barrier, lambda: part.allreduce(1), request.Test, request.Wait]:
        try:
            call()
        except MPI.Exception as error:
            assert "forked" in str(error), error
        else:
            os._exit(3)
    assert MPI.COMM_SELF.allreduce(2) == 2
    part.Free()
    del request
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
comm.Send(np.ones(1), comm.rank)
request.Wait()
assert part.allreduce(1) == comm.allreduce(1) == 2
print("right", flush=True)
""")
    assert (done.returncode, done.stdout.count("right"), done.stderr) == (0, 2, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_process_alone_is_as_its_parent():
    program = """
import os, sys
from adsum import MPI
assert MPI.COMM_WORLD.allreduce(1) == 1
child = os.fork()
assert MPI.COMM_WORLD.allreduce(2) == MPI.COMM_SELF.allreduce(2) == 2
assert child == 0 or os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
