"""Groups of processes with the names of mpi4py, without MPI.

    from adsum import MPI
    comm = MPI.COMM_WORLD

``adsum run -n 4 -- python program.py`` starts four ranks; mpirun, srun and torchrun do as
well. A process that nothing started as a rank is a group of one. The first look at
COMM_WORLD meets the other ranks.

Upper-case methods take buffers in the forms of mpi4py: arrays and what exports its memory,
with counts, displacements and types. Lower-case ones take numbers, text, bytes, arrays,
adsum.Partial, and plain containers of them. Other objects are a TypeError, unless pickle is
asked for: by ``MPI.pickle.enabled = True``, or ADSUM_PICKLE=1 in the environment. A
pickle can do anything where it is read, so all ranks ask for it.

Sums of floats are exact and rounded once, so all ranks have the same bits from any number
of ranks. What fails is an MPI.Exception at all ranks that need it; nothing waits for ever,
and Ctrl-C ends a call that waits: the rank then gives the communicator back. What mpi4py
has and this module has not raises NotImplementedError.
"""

import atexit as _atexit
import socket as _socket
import sys as _sys
import time as _time

import numpy as _numpy

from . import _adsum
from ._mpi import datatypes as _datatypes, errors as _errors, ops as _ops
from ._mpi.buffered import BSEND_OVERHEAD, Attach_buffer, Detach_buffer
from ._mpi.buffers import BOTTOM, IN_PLACE, address as Get_address
from ._mpi.comm import COMM_NULL, Comm
from ._mpi.datatypes import DATATYPE_NULL, ORDER_C, ORDER_FORTRAN, Datatype
from ._mpi.errors import GroupError as Exception  # noqa: A004: mpi4py's name
from ._mpi.messages import MESSAGE_NO_PROC, MESSAGE_NULL, Message
from ._mpi.ops import Op, buffer
from ._mpi.requests import REQUEST_NULL, Prequest, Request
from ._mpi.status import ANY_SOURCE, ANY_TAG, PROC_NULL, UNDEFINED, Status
from ._objects import pickle

globals().update(_ops.PREDEFINED)
globals().update(_datatypes.PREDEFINED)
globals().update({name: number for number, name in enumerate(_errors.ERROR_CLASSES)})

Intracomm = Comm
ORDER_F = ORDER_FORTRAN
THREAD_SINGLE, THREAD_FUNNELED, THREAD_SERIALIZED, THREAD_MULTIPLE = range(4)
_worlds = {}


def Wtime():
    """Seconds of a clock that never goes back."""
    return _time.perf_counter()


def Wtick():
    """Seconds between two times of Wtime."""
    return _time.get_clock_info("perf_counter").resolution


def Alloc_mem(size):
    """So many bytes of memory, which are 0."""
    return buffer(_numpy.zeros(size, "u1"))


def Free_mem(mem):
    """Nothing has to be given back: memory goes when nothing refers to it."""


def Aint_add(base, displacement):
    """An address so many bytes behind another."""
    return base + displacement


def Aint_diff(address, base):
    """The bytes from one address to another."""
    return address - base


def Get_processor_name():
    """The name of this machine."""
    return _socket.gethostname()


def Get_version():
    """The version of MPI of whose calls there are some: (3, 1)."""
    return 3, 1


def get_vendor():
    """("adsum", its version as three numbers)."""
    return "adsum", tuple(int(part) for part in _adsum.__version__.split("-")[0].split("."))


def Query_thread():
    """THREAD_MULTIPLE: any thread may make calls."""
    return THREAD_MULTIPLE


def Is_initialized():
    """Whether the other ranks have been met."""
    return "COMM_WORLD" in _worlds


def __getattr__(name):
    if name in ("COMM_WORLD", "COMM_SELF"):
        if name not in _worlds:
            group = _adsum.Group.connect() if name == "COMM_WORLD" else _adsum.Group.solo()
            _worlds[name] = Comm(group, "MPI_" + name)
        return _worlds[name]
    if name.startswith("_"):
        raise AttributeError(f"module 'adsum.MPI' has no attribute {name!r}")
    raise _errors.NotThere(f"MPI.{name}")


def _leave():
    for world in _worlds.values():
        if world:
            world.Free()


def _end_the_job(kind, value, trace):
    """An uncaught exception ends this process now, and its code ends the job.

    A process that went through the end of the interpreter could wait there for threads,
    while the other ranks wait for it.
    """
    _previous_hook(kind, value, trace)
    world = _worlds.get("COMM_WORLD")
    if world and world.size > 1 and not issubclass(kind, KeyboardInterrupt):
        world.Abort(1)


_previous_hook, _sys.excepthook = _sys.excepthook, _end_the_job
_atexit.register(_leave)
