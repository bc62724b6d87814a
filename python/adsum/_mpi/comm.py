"""Groups of ranks, as programs have them."""

import os
import sys

from .buffered import Buffered, flushed
from .collectives import Collectives, Persistent
from .errors import GroupError, Missing
from .objects import Objects
from .status import UNDEFINED


class _Nobody:
    """The group of no communicator."""

    rank = size = property(lambda self: self._missing())

    def __getattr__(self, name):
        self._missing()

    def _missing(self):
        raise GroupError("this communicator was freed, or is MPI.COMM_NULL", "ERR_COMM")


_NOBODY = _Nobody()


class Comm(Collectives, Persistent, Objects, Buffered, Missing):
    """A group of ranks. ``rank`` counts from 0 up to ``size`` less one."""

    def __init__(self, group, name):
        self._group, self._name = group, name

    def __repr__(self):
        if not self:
            return "<adsum.MPI.Comm: none>"
        return f"<adsum.MPI.Comm {self._name}: rank {self.rank} of {self.size}>"

    def __bool__(self):
        return self._group is not _NOBODY

    def __eq__(self, other):
        return self._group is other._group if isinstance(other, Comm) else NotImplemented

    def __hash__(self):
        return id(self._group)

    @property
    def rank(self):
        """This rank, counted from 0."""
        return self._group.rank

    @property
    def size(self):
        """The number of ranks."""
        return self._group.size

    @property
    def name(self):
        """The name of the communicator."""
        return self._name

    def Get_rank(self):
        """This rank, counted from 0."""
        return self._group.rank

    def Get_size(self):
        """The number of ranks."""
        return self._group.size

    def Get_name(self):
        """The name of the communicator."""
        return self._name

    def Is_inter(self):
        """False: there are none of two groups."""
        return False

    def Is_intra(self):
        """True: all are of one group."""
        return True

    def Dup(self):
        """Another communicator of the same ranks; all call it."""
        return Comm(self._group.dup(), self._name)

    Clone = Dup

    def Split(self, color=0, key=0):
        """The communicator of the ranks of the same color, in order of key, then of rank.

        COMM_NULL with the color UNDEFINED. All ranks call it.
        """
        if color != UNDEFINED and not 0 <= color < 2**31:
            raise GroupError(f"color {color}; colors are 0 to {2**31 - 1}, or MPI.UNDEFINED", "ERR_ARG")
        group = self._group.split(None if color == UNDEFINED else color, key)
        return COMM_NULL if group is None else Comm(group, "split")

    def Free(self):
        """Gives the communicator back; later calls raise MPI.Exception."""
        group, self._group = self._group, _NOBODY
        try:
            flushed(group)
        finally:
            group.leave()

    def Abort(self, errorcode=1):
        """Ends this process at once with the code, and by it the job."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(errorcode if 0 < errorcode < 256 else 1)


COMM_NULL = Comm(_NOBODY, "MPI_COMM_NULL")
