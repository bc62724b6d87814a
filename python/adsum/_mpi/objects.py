"""The collective calls on objects: numbers, text, arrays and plain containers."""

import numpy

from .. import _objects
from .buffers import IN_PLACE
from .errors import GroupError
from .ops import SUM


def dumped(value):
    """The bytes of an object, as an array."""
    return numpy.frombuffer(_objects.dumps(value), "u1")


def _folded(sent, op, ranks=None):
    """Folds what the first ranks sent, or all: pairs of the name of an operation and an object.

    None of no ranks. Raises GroupError where they are of different operations.
    """
    for rank, (name, _) in enumerate(sent):
        if name != op._name:
            raise GroupError(f"rank {rank} folds by MPI.{name}, this rank by {op!r}", "ERR_OP")
    values = [value for _, value in sent[:ranks]]
    return op._fold_objects(values) if values else None


class Objects:
    """Calls on objects, which all ranks make in the same order."""

    def barrier(self):
        """Returns when all ranks have called it."""
        self.Barrier()

    def _is_for_library(self, sendobj, op):
        if not isinstance(sendobj, numpy.ndarray) or isinstance(sendobj, numpy.ma.MaskedArray):
            return False
        return sendobj.ndim > 0 and op._native(sendobj.dtype) is not None

    def allreduce(self, sendobj, op=SUM):
        """Folds the numbers of all ranks, their arrays of one type and shape, or other objects.

        Sums of floats are exact and rounded once, Python's integers exact at any size.
        Everything else is folded as mpi4py does it, in rank order: sums of lists are one list.
        """
        if not self._is_for_library(sendobj, op):
            return _folded(self.allgather((op._name, sendobj)), op)
        folded = numpy.array(sendobj, dtype=sendobj.dtype.newbyteorder("="), order="C")
        self.Allreduce(IN_PLACE, folded, op)
        return folded

    def reduce(self, sendobj, op=SUM, root=0):
        """allreduce at root; None at the others."""
        here = self._root(root)
        if not self._is_for_library(sendobj, op):
            values = self.gather((op._name, sendobj), root)
            return _folded(values, op) if here else None
        folded = numpy.array(sendobj, dtype=sendobj.dtype.newbyteorder("="), order="C")
        self.Reduce(IN_PLACE if here else folded, folded, op, root)
        return folded if here else None

    def scan(self, sendobj, op=SUM):
        """Folds the objects of all ranks up to this one, as allreduce."""
        return _folded(self.allgather((op._name, sendobj)), op, self.rank + 1)

    def exscan(self, sendobj, op=SUM):
        """Folds the objects of all ranks before this one; None at rank 0."""
        return _folded(self.allgather((op._name, sendobj)), op, self.rank)

    def bcast(self, obj, root=0):
        """The object of root, at all ranks."""
        here = self._root(root)
        data = dumped(obj) if here else None
        # Only the root knows the length.
        length = numpy.array([data.size if here else 0], "u8")
        self._group.broadcast(length, root)
        data = data if here else numpy.empty(length[0], "u1")
        self._group.broadcast(data, root)
        return obj if here else _objects.loads(data)

    def _exchange(self, call, array, root=0, counts=()):
        blocks, _ = self._group.begin(call, array, None, root, list(counts)).wait()
        return [_objects.loads(block) for block in blocks]

    def gather(self, sendobj, root=0):
        """The objects of all ranks in a list at root; None at the others."""
        here = self._root(root)
        found = self._exchange("gather_v", dumped(sendobj), root)
        return found if here else None

    def allgather(self, sendobj):
        """The objects of all ranks in a list."""
        return self._exchange("all_gather_v", dumped(sendobj))

    def scatter(self, sendobj, root=0):
        """This rank's one of the objects of root, which are one for each rank."""
        array, counts = self._each(sendobj, "scatter") if self._root(root) else (numpy.empty(0, "u1"), ())
        return self._exchange("scatter_v", array, root, counts)[0]

    def alltoall(self, sendobj):
        """What every rank gives for this one; each gives one object for each rank."""
        array, counts = self._each(sendobj, "alltoall")
        return self._exchange("all_to_all_v", array, counts=counts)

    def _each(self, objects, what):
        found = [dumped(one) for one in objects]
        if len(found) != self.size:
            raise ValueError(f"{what}: {len(found)} objects for {self.size} ranks")
        return numpy.concatenate(found), [one.size for one in found]
