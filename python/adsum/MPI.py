"""Groups of processes with the names of mpi4py, without MPI.

    from adsum import MPI
    comm = MPI.COMM_WORLD

``adsum run -n 4 -- python program.py`` starts four ranks; mpirun, srun and torchrun do as
well. A process that nothing started as a rank is a group of one. The first look at
COMM_WORLD meets the other ranks.

Upper-case methods take contiguous NumPy arrays, or [array, type] and [array, count, type].
Lower-case ones take numbers, text, bytes, arrays and plain containers of them; other
objects are a TypeError (send the bytes of pickle.dumps). Sums of floats are exact and
rounded once, so all ranks have the same bits from any number of ranks. What fails is an
MPI.Exception at all ranks that need it; nothing waits for ever. What mpi4py has and this
module has not raises NotImplementedError.
"""

import atexit as _atexit
import os as _os
import socket as _socket
import sys as _sys
import time as _time

import numpy as _numpy

from . import _adsum, _objects
from ._adsum import GroupError as Exception  # noqa: A004: mpi4py's name


class _InPlace:
    def __repr__(self):
        return "MPI.IN_PLACE"


IN_PLACE = _InPlace()
UNDEFINED = -32766


class Op:
    """How contributions become one: SUM, PROD, MIN, MAX, LAND, LOR, LXOR, BAND, BOR, BXOR."""

    def __init__(self, name, operator, fold):
        self._name, self._operator, self._fold = name, operator, fold

    def __repr__(self):
        return f"MPI.{self._name}"

    @classmethod
    def Create(cls, function, commute=False):
        raise NotImplementedError("MPI.Op.Create")


def _sum(values):
    if all(isinstance(value, int) for value in values):
        return sum(values)
    return _whole(_package().sum, values)


def _product(values):
    if all(isinstance(value, int) for value in values):
        product = 1
        for value in values:
            product *= value
        return product
    return _whole(_package().prod, values)


def _package():
    import adsum

    return adsum


def _whole(reduce, values):
    """Numbers of one kind folded as float64, or as NumPy's type that all have."""
    arrays = [_numpy.asarray(value) for value in values]
    if any(array.ndim for array in arrays):
        raise TypeError("numbers and arrays cannot be folded together; all ranks give one or the other")
    folded = reduce(_numpy.stack(arrays))
    return folded.item() if all(type(value) in (int, float, bool) for value in values) else folded


def _extreme(reduce):
    def fold(values):
        if all(isinstance(value, int) for value in values):
            return (min if reduce == "min" else max)(values)
        return _whole(getattr(_package(), reduce), values)

    return fold


def _bits(operation):
    def fold(values):
        if not all(isinstance(value, (int, _numpy.integer, _numpy.bool_)) for value in values):
            raise TypeError("bitwise operations take integers")
        folded = values[0]
        for value in values[1:]:
            folded = operation(folded, value)
        return folded

    return fold


SUM = Op("SUM", "sum", _sum)
PROD = Op("PROD", "prod", _product)
MIN = Op("MIN", "min", _extreme("min"))
MAX = Op("MAX", "max", _extreme("max"))
LAND = Op("LAND", "land", lambda values: all(bool(value) for value in values))
LOR = Op("LOR", "lor", lambda values: any(bool(value) for value in values))
LXOR = Op("LXOR", "lxor", lambda values: sum(bool(value) for value in values) % 2 == 1)
BAND = Op("BAND", "band", _bits(lambda a, b: a & b))
BOR = Op("BOR", "bor", _bits(lambda a, b: a | b))
BXOR = Op("BXOR", "bxor", _bits(lambda a, b: a ^ b))


class Datatype:
    """A type of elements; arrays know theirs, so it is only compared with it."""

    def __init__(self, name, dtype):
        self._name, self._dtype = name, _numpy.dtype(dtype)

    def __repr__(self):
        return f"MPI.{self._name}"

    def Get_size(self):
        """Bytes of one element."""
        return self._dtype.itemsize


BOOL, C_BOOL = Datatype("BOOL", "bool"), Datatype("C_BOOL", "bool")
BYTE, CHAR, SIGNED_CHAR = Datatype("BYTE", "u1"), Datatype("CHAR", "i1"), Datatype("SIGNED_CHAR", "i1")
INT8_T, INT16_T = Datatype("INT8_T", "i1"), Datatype("INT16_T", "i2")
INT32_T, INT64_T = Datatype("INT32_T", "i4"), Datatype("INT64_T", "i8")
UINT8_T, UINT16_T = Datatype("UINT8_T", "u1"), Datatype("UINT16_T", "u2")
UINT32_T, UINT64_T = Datatype("UINT32_T", "u4"), Datatype("UINT64_T", "u8")
SHORT, INT, LONG = Datatype("SHORT", "short"), Datatype("INT", "intc"), Datatype("LONG", "long")
LONG_LONG = Datatype("LONG_LONG", "longlong")
FLOAT, DOUBLE = Datatype("FLOAT", "f4"), Datatype("DOUBLE", "f8")


def _buffer(given, writes):
    """The contiguous array that a buffer is, as one axis."""
    count = None
    if isinstance(given, (list, tuple)):
        if not given or len(given) > 3 or not isinstance(given[-1], (Datatype, str)):
            raise NotImplementedError(f"a buffer given as {given!r}; give an array, [array, type] or [array, count, type]")
        given, rest = given[0], given[1:]
        count = rest[0] if len(rest) == 2 else None
        wanted = rest[-1]
        array = _numpy.asarray(given)
        if isinstance(wanted, Datatype) and wanted._dtype != array.dtype:
            raise TypeError(f"an array of {array.dtype} given as {wanted!r}")
        if count is not None and not isinstance(count, int):
            raise NotImplementedError("counts and displacements of blocks")
    array = given if isinstance(given, _numpy.ndarray) else _numpy.asarray(given)
    if not isinstance(given, _numpy.ndarray) and writes:
        raise TypeError(f"a {type(given).__name__} is no array to receive into")
    if not array.flags.c_contiguous or not array.flags.aligned or not array.dtype.isnative:
        raise ValueError("a buffer must be contiguous, aligned and in native byte order; use numpy.ascontiguousarray")
    if writes and not array.flags.writeable:
        raise ValueError("the array to receive into is read-only")
    flat = array.reshape(-1)
    if count is not None and count > flat.size:
        raise ValueError(f"{count} elements of an array of {flat.size}")
    return flat if count is None else flat[:count]


def _copy(sent, into, what):
    if sent.dtype != into.dtype or sent.size != into.size:
        raise ValueError(f"{what}: {sent.size} elements of {sent.dtype} sent, {into.size} of {into.dtype} received")
    if sent.size and not _numpy.shares_memory(sent, into):
        into[...] = sent


class Comm:
    """A group of ranks. ``rank`` counts from 0 up to ``size`` less one."""

    def __init__(self, group, name):
        self._group, self._name = group, name

    def __repr__(self):
        return f"<adsum.MPI.Comm {self._name}: rank {self.rank} of {self.size}>"

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotImplementedError(f"MPI.Comm.{name}")

    @property
    def rank(self):
        """This rank, counted from 0."""
        return self._group.rank

    @property
    def size(self):
        """The number of ranks."""
        return self._group.size

    def Get_rank(self):
        """This rank, counted from 0."""
        return self._group.rank

    def Get_size(self):
        """The number of ranks."""
        return self._group.size

    def Get_name(self):
        """The name of the communicator."""
        return self._name

    def Dup(self):
        """Another communicator of the same ranks; all call it."""
        return Comm(self._group.dup(), self._name)

    def Split(self, color=0, key=0):
        """The communicator of the ranks of the same color, in order of key, then of rank.

        None with the color UNDEFINED. All ranks call it.
        """
        group = self._group.split(None if color == UNDEFINED else color, key)
        return None if group is None else Comm(group, "split")

    def Free(self):
        """Gives the communicator back; later calls raise MPI.Exception."""
        self._group.leave()

    def Abort(self, errorcode=1):
        """Ends this process at once with the code, and by it the job."""
        _sys.stdout.flush()
        _sys.stderr.flush()
        _os._exit(errorcode if 0 < errorcode < 256 else 1)

    def Barrier(self):
        """Returns when all ranks have called it."""
        self._group.barrier()

    barrier = Barrier

    def _root(self, root):
        if not 0 <= root < self.size:
            raise ValueError(f"root {root} is no rank of 0 to {self.size - 1}")
        return self.rank == root

    # Arrays.

    def _fold(self, call, sendbuf, recvbuf, op):
        into = _buffer(recvbuf, True)
        if sendbuf is not IN_PLACE:
            _copy(_buffer(sendbuf, False), into, call)
        self._group.collective(call, into, op._operator, 0)

    def Allreduce(self, sendbuf, recvbuf, op=SUM):
        """Folds the arrays of all ranks element by element into recvbuf, at all ranks.

        sendbuf and recvbuf are of one type and length; sendbuf may be IN_PLACE.
        """
        self._fold("all_reduce", sendbuf, recvbuf, op)

    def Reduce(self, sendbuf, recvbuf, op=SUM, root=0):
        """Folds the arrays of all ranks element by element into recvbuf of root.

        Elsewhere recvbuf is not looked at. At root sendbuf may be IN_PLACE.
        """
        if self._root(root):
            into = _buffer(recvbuf, True)
            if sendbuf is not IN_PLACE:
                _copy(_buffer(sendbuf, False), into, "Reduce")
        else:
            into = _buffer(sendbuf, False)
        self._group.collective("reduce", into, op._operator, root)

    def Scan(self, sendbuf, recvbuf, op=SUM):
        """Folds the arrays of all ranks up to this one."""
        self._fold("scan", sendbuf, recvbuf, op)

    def Exscan(self, sendbuf, recvbuf, op=SUM):
        """Folds the arrays of all ranks before this one; at rank 0 recvbuf is of no meaning."""
        self._fold("exscan", sendbuf, recvbuf, op)

    def Bcast(self, buf, root=0):
        """Copies the array of root into that of all others, which are of its length."""
        self._group.collective("broadcast", _buffer(buf, not self._root(root)), None, root)

    def _own_block(self, all_blocks, what):
        if all_blocks.size % self.size:
            raise ValueError(f"{what}: {all_blocks.size} elements are no whole blocks for {self.size} ranks")
        block = all_blocks.size // self.size
        return all_blocks[self.rank * block : (self.rank + 1) * block]

    def Allgather(self, sendbuf, recvbuf):
        """The arrays of all ranks, of one length, one after the other into recvbuf.

        With IN_PLACE, what a rank gives is its block of recvbuf.
        """
        into = _buffer(recvbuf, True)
        own = self._own_block(into, "Allgather")
        if sendbuf is not IN_PLACE:
            _copy(_buffer(sendbuf, False), own, "Allgather")
        self._group.collective("all_gather", into, None, 0)

    def Gather(self, sendbuf, recvbuf, root=0):
        """The arrays of all ranks, of one length, one after the other into recvbuf of root."""
        if self._root(root):
            into = _buffer(recvbuf, True)
            own = self._own_block(into, "Gather")
            if sendbuf is not IN_PLACE:
                _copy(_buffer(sendbuf, False), own, "Gather")
        else:
            into = _buffer(sendbuf, False)
        self._group.collective("gather", into, None, root)

    def Scatter(self, sendbuf, recvbuf, root=0):
        """This rank's block of sendbuf of root into recvbuf; IN_PLACE at root leaves its own."""
        if not self._root(root):
            self._group.collective("scatter", _buffer(recvbuf, True), None, root)
            return
        given = _buffer(sendbuf, False)
        own = self._own_block(given, "Scatter")
        if recvbuf is not IN_PLACE:
            into = _buffer(recvbuf, True)
            _copy(own, into, "Scatter")
        self._group.collective("scatter", given, None, root)

    def Alltoall(self, sendbuf, recvbuf):
        """This rank's block of the array of every rank."""
        into = _buffer(recvbuf, True)
        self._own_block(into, "Alltoall")
        if sendbuf is not IN_PLACE:
            _copy(_buffer(sendbuf, False), into, "Alltoall")
        self._group.collective("all_to_all", into, None, 0)

    # Objects.

    def allreduce(self, sendobj, op=SUM):
        """Folds the numbers of all ranks, or their arrays of one type and shape.

        Python's integers are exact at any size.
        """
        if isinstance(sendobj, _numpy.ndarray) and sendobj.ndim:
            folded = _numpy.array(sendobj, dtype=sendobj.dtype.newbyteorder("="), order="C")
            self._group.collective("all_reduce", folded, op._operator, 0)
            return folded
        return op._fold(self.allgather(sendobj))

    def reduce(self, sendobj, op=SUM, root=0):
        """allreduce at root; None at the others."""
        here = self._root(root)
        if isinstance(sendobj, _numpy.ndarray) and sendobj.ndim:
            folded = _numpy.array(sendobj, dtype=sendobj.dtype.newbyteorder("="), order="C")
            self._group.collective("reduce", folded, op._operator, root)
            return folded if here else None
        values = self.gather(sendobj, root)
        return op._fold(values) if here else None

    def scan(self, sendobj, op=SUM):
        """Folds the numbers of all ranks up to this one."""
        return op._fold(self.allgather(sendobj)[: self.rank + 1])

    def exscan(self, sendobj, op=SUM):
        """Folds the numbers of all ranks before this one; None at rank 0."""
        values = self.allgather(sendobj)[: self.rank]
        return op._fold(values) if values else None

    def bcast(self, obj, root=0):
        """The object of root, at all ranks."""
        here = self._root(root)
        data = self._group.broadcast_bytes(_objects.dumps(obj) if here else b"", root)
        return obj if here else _objects.loads(data)

    def gather(self, sendobj, root=0):
        """The objects of all ranks in a list at root; None at the others."""
        self._root(root)
        found = self._group.gather_bytes(_objects.dumps(sendobj), root)
        return None if found is None else [_objects.loads(one) for one in found]

    def allgather(self, sendobj):
        """The objects of all ranks in a list."""
        return [_objects.loads(one) for one in self._group.all_gather_bytes(_objects.dumps(sendobj))]

    def scatter(self, sendobj, root=0):
        """This rank's one of the objects of root, which are one for each rank."""
        if self._root(root):
            return _objects.loads(self._group.scatter_bytes(self._each(sendobj, "scatter"), root))
        return _objects.loads(self._group.scatter_bytes([], root))

    def alltoall(self, sendobj):
        """What every rank gives for this one; each gives one object for each rank."""
        found = self._group.all_to_all_bytes(self._each(sendobj, "alltoall"))
        return [_objects.loads(one) for one in found]

    def _each(self, objects, what):
        found = [_objects.dumps(one) for one in objects]
        if len(found) != self.size:
            raise ValueError(f"{what}: {len(found)} objects for {self.size} ranks")
        return found


Intracomm = Comm
_worlds = {}


def Wtime():
    """Seconds of a clock that never goes back."""
    return _time.perf_counter()


def Get_processor_name():
    """The name of this machine."""
    return _socket.gethostname()


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
    raise NotImplementedError(f"MPI.{name}")


def _leave():
    for world in _worlds.values():
        world.Free()


def _end_the_job(kind, value, trace):
    """An uncaught exception ends this process now, and its code ends the job.

    A process that went through the end of the interpreter could wait there for threads,
    while the other ranks wait for it.
    """
    _previous_hook(kind, value, trace)
    world = _worlds.get("COMM_WORLD")
    if world is not None and world.size > 1 and not issubclass(kind, KeyboardInterrupt):
        world.Abort(1)


_previous_hook, _sys.excepthook = _sys.excepthook, _end_the_job
_atexit.register(_leave)
