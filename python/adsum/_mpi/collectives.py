"""The collective calls on buffers, each in a form that waits and one that begins it."""

import functools

import numpy

from .buffers import in_place, joined, joined_bytes, simple, vector, blocks_of_types
from .errors import GroupError
from .ops import SUM
from .messages import persistent
from .requests import Request


# From here on what the library does not fold is folded in parts by calls that wait.
IN_PARTS_FROM_BYTES = 64 << 10


def waiting(begin):
    """The form of a call that waits for its end."""

    @functools.wraps(begin)
    def call(self, *args, **kwargs):
        begin(self, *args, **kwargs).Wait()

    call.__name__ = begin.__name__[1:].capitalize()
    call.__qualname__ = f"Comm.{call.__name__}"
    return call


def _put_all(spans):
    """Puts the arrays of a result where they belong, or the only one."""

    def put(blocks):
        for span, block in zip(spans, blocks, strict=True):
            span.put(block)

    return put


class Collectives:
    """Calls on buffers, which all ranks make in the same order.

    All lengths of a call are in elements, and equal at all ranks but in calls whose names end
    in v or w. What is sent may be given as IN_PLACE (or None) where MPI has it so: then it
    lies where the result goes. Names that begin with I give a Request; buffers that are sent
    may be used again at once, those that are received into when its Wait or Test said so.
    """

    def _root(self, root):
        if not 0 <= root < self.size:
            raise GroupError(f"root {root} is no rank of 0 to {self.size - 1}", "ERR_ROOT")
        return self.rank == root

    def _begin(self, call, array, end=None, op=None, root=0, counts=()):
        return Request._of(self._group.begin(call, array, op, root, list(counts)), end)

    def Ibarrier(self):
        """Ends when all ranks have called it."""
        return self._begin("barrier", numpy.empty(0, "u1"))

    Barrier = waiting(Ibarrier)

    # Folds.

    def _fold(self, call, given, into, op, root=0):
        """Folds by the library what it folds; all else here, where its result belongs."""
        end = _put_all([into] if into is not None else [])
        native = op._native(given.dtype, given.type)
        if native:
            return self._begin(call, given.wire(), end if call != "exscan" or self.rank else None, native, root)
        fold, sealed = op._folding(given.dtype, given.type), op._seal(given.dtype)
        many = {"scan": self.rank + 1, "exscan": self.rank}.get(call, self.size)

        def fold_here(blocks):
            if blocks and many:
                end([fold(sealed.opened(blocks[0].reshape(self.size, -1))[:many])])

        moved = "gather" if call == "reduce" else "all_gather"
        return self._begin(moved, sealed.closed([given.packed()]), fold_here, root=root)

    def _fold_in_parts(self, given, into, op, root=None):
        """Folds here what the library does not fold, each rank some of the elements.

        So no rank has those of all; it takes two rounds.
        """
        fold, sealed = op._folding(given.dtype, given.type), op._seal(given.dtype)
        each = given.type._offsets.size
        cuts = [each * (given.size // each * rank // self.size) for rank in range(1, self.size)]
        parts = numpy.split(given.packed(), cuts)
        counts = [part.nbytes + sealed.size for part in parts]
        received, _ = self._group.begin("all_to_all_v", sealed.closed(parts), None, 0, counts).wait()
        folded, failed = numpy.empty(0, "u1"), None
        try:
            folded = fold(sealed.opened(received)).view("u1")
        except Exception as error:
            # The others wait for this part, and are told of it by its length.
            failed = error
        call = "all_gather_v" if root is None else "gather_v"
        blocks, _ = self._group.begin(call, folded, None, root or 0, []).wait()
        if failed is not None:
            raise failed
        for rank, (part, block) in enumerate(zip(parts, blocks)):
            if part.nbytes != block.nbytes:
                raise GroupError(f"{op!r} failed at rank {rank}", "ERR_OP")
        if into is not None:
            into.put(numpy.concatenate(blocks))

    def _is_for_parts(self, given, op):
        long = given.size * given.dtype.itemsize >= IN_PARTS_FROM_BYTES
        return long and self.size > 1 and op._native(given.dtype, given.type) is None

    def _both(self, sendbuf, recvbuf, call):
        into = simple(recvbuf, True)
        given = into if in_place(sendbuf) else simple(sendbuf, False)
        into.is_like(given, call)
        return given, into

    def Iallreduce(self, sendbuf, recvbuf, op=SUM):
        """Folds the buffers of all ranks element by element into recvbuf, at all ranks.

        After an error what is in recvbuf is of no meaning.
        """
        return self._fold("all_reduce", *self._both(sendbuf, recvbuf, "Allreduce"), op)

    def Allreduce(self, sendbuf, recvbuf, op=SUM):
        given, into = self._both(sendbuf, recvbuf, "Allreduce")
        native = op._native(given.dtype, given.type)
        if native and into.is_plain:
            into.copy_from(given, "Allreduce")
            self._group.all_reduce(into.wire(), native)
        elif self._is_for_parts(given, op):
            self._fold_in_parts(given, into, op)
        else:
            self._fold("all_reduce", given, into, op).Wait()

    Allreduce.__doc__ = Iallreduce.__doc__

    def Ireduce(self, sendbuf, recvbuf, op=SUM, root=0):
        """Folds the buffers of all ranks element by element into recvbuf of root.

        Elsewhere recvbuf is not looked at.
        """
        return self._fold("reduce", *self._at_root(sendbuf, recvbuf, root), op, root)

    def _at_root(self, sendbuf, recvbuf, root):
        return self._both(sendbuf, recvbuf, "Reduce") if self._root(root) else (simple(sendbuf, False), None)

    def Reduce(self, sendbuf, recvbuf, op=SUM, root=0):
        given, into = self._at_root(sendbuf, recvbuf, root)
        if self._is_for_parts(given, op):
            self._fold_in_parts(given, into, op, root)
        else:
            self._fold("reduce", given, into, op, root).Wait()

    Reduce.__doc__ = Ireduce.__doc__

    def Iscan(self, sendbuf, recvbuf, op=SUM):
        """Folds the buffers of all ranks up to this one."""
        return self._fold("scan", *self._both(sendbuf, recvbuf, "Scan"), op)

    Scan = waiting(Iscan)

    def Iexscan(self, sendbuf, recvbuf, op=SUM):
        """Folds the buffers of all ranks before this one; at rank 0 recvbuf stays as it is."""
        return self._fold("exscan", *self._both(sendbuf, recvbuf, "Exscan"), op)

    Exscan = waiting(Iexscan)

    def _fold_blocks(self, call, given, into, counts, op):
        if sum(counts) != given.size or counts[self.rank] != into.size or given.dtype != into.dtype:
            raise ValueError(
                f"{call}: {given.size} elements of {given.dtype} sent, in blocks of {counts}; "
                f"{into.size} of {into.dtype} received"
            )
        native = op._native(given.dtype, given.type)
        if native:
            wire = given.wire()
            parts = wire.size // given.size if given.size else 1
            return self._begin(
                "reduce_scatter", wire, _put_all([into]), native, counts=[count * parts for count in counts]
            )
        fold, sealed = op._folding(given.dtype, given.type), op._seal(given.dtype)
        blocks = numpy.split(given.packed(), numpy.cumsum(counts[:-1]))
        counts = [block.nbytes + sealed.size for block in blocks]
        return self._begin(
            "all_to_all_v", sealed.closed(blocks), lambda found: into.put(fold(sealed.opened(found))), counts=counts
        )

    def Ireduce_scatter_block(self, sendbuf, recvbuf, op=SUM):
        """Folds the buffers of all ranks, and gives each its block, of equal length.

        In place the result is at the beginning of recvbuf.
        """
        into = simple(recvbuf, True, self.size if in_place(sendbuf) else 1)
        given = into if in_place(sendbuf) else simple(sendbuf, False, self.size)
        block = given.size // self.size
        into = into.part(0, block) if in_place(sendbuf) else into
        return self._fold_blocks("Reduce_scatter_block", given, into, [block] * self.size, op)

    Reduce_scatter_block = waiting(Ireduce_scatter_block)

    def Ireduce_scatter(self, sendbuf, recvbuf, recvcounts=None, op=SUM):
        """Folds the buffers of all ranks, and gives each its block, of recvcounts' lengths.

        Without recvcounts the ranks tell each other the lengths of their recvbuf, before the
        call returns. In place they must be given; the result is at the beginning of recvbuf.
        """
        into = simple(recvbuf, True)
        given = into if in_place(sendbuf) else simple(sendbuf, False)
        if recvcounts is None:
            if in_place(sendbuf):
                raise ValueError("Reduce_scatter in place needs recvcounts")
            (counts,), _ = self._group.begin("all_gather", numpy.array([into.size]), None, 0, []).wait()
            recvcounts = counts.tolist()
        counts = [int(count) for count in recvcounts]
        if len(counts) != self.size:
            raise ValueError(f"{len(counts)} recvcounts for {self.size} ranks")
        into = into.part(0, counts[self.rank]) if in_place(sendbuf) else into
        return self._fold_blocks("Reduce_scatter", given, into, counts, op)

    Reduce_scatter = waiting(Ireduce_scatter)

    # Moves.

    def Ibcast(self, buf, root=0):
        """Copies the buffer of root into that of all others, which are of its length."""
        here = self._root(root)
        span = simple(buf, not here)
        return self._begin("broadcast", span.wire(), None if here else _put_all([span]), root=root)

    def Bcast(self, buf, root=0):
        span = simple(buf, not self._root(root))
        if span.is_plain:
            self._group.broadcast(span.wire(), root)
        else:
            self.Ibcast(buf, root).Wait()

    Bcast.__doc__ = Ibcast.__doc__

    def _block(self, span, rank):
        count = span.size // self.size
        return span.part(rank * count, count)

    def Iallgather(self, sendbuf, recvbuf):
        """The buffers of all ranks one after the other into recvbuf."""
        into = simple(recvbuf, True, self.size)
        own = self._block(into, self.rank)
        given = own if in_place(sendbuf) else simple(sendbuf, False)
        own.is_like(given, "Allgather")
        return self._begin("all_gather", given.wire(), _put_all([into]))

    Allgather = waiting(Iallgather)

    def Iallgatherv(self, sendbuf, recvbuf):
        """The buffers of all ranks, of lengths of their own, into the blocks of recvbuf."""
        into = vector(recvbuf, True, self.size)
        given = into[self.rank] if in_place(sendbuf) else simple(sendbuf, False)
        into[self.rank].is_like(given, "Allgatherv")
        return self._begin("all_gather_v", given.wire(), _put_all(into))

    Allgatherv = waiting(Iallgatherv)

    def Igather(self, sendbuf, recvbuf, root=0):
        """The buffers of all ranks one after the other into recvbuf of root."""
        if not self._root(root):
            return self._begin("gather", simple(sendbuf, False).wire(), root=root)
        into = simple(recvbuf, True, self.size)
        own = self._block(into, root)
        given = own if in_place(sendbuf) else simple(sendbuf, False)
        own.is_like(given, "Gather")
        return self._begin("gather", given.wire(), _put_all([into]), root=root)

    Gather = waiting(Igather)

    def Igatherv(self, sendbuf, recvbuf, root=0):
        """The buffers of all ranks, of lengths of their own, into the blocks of recvbuf of root."""
        if not self._root(root):
            return self._begin("gather_v", simple(sendbuf, False).wire(), root=root)
        into = vector(recvbuf, True, self.size)
        given = into[root] if in_place(sendbuf) else simple(sendbuf, False)
        into[root].is_like(given, "Gatherv")
        return self._begin("gather_v", given.wire(), _put_all(into), root=root)

    Gatherv = waiting(Igatherv)

    def Iscatter(self, sendbuf, recvbuf, root=0):
        """This rank's block of sendbuf of root into recvbuf; IN_PLACE at root leaves its own."""
        if not self._root(root):
            into = simple(recvbuf, True)
            return self._begin("scatter", into.part(0, 0).wire(), _put_all([into]), root=root)
        given = simple(sendbuf, False, self.size)
        own = self._block(given, root)
        into = own if in_place(recvbuf) else simple(recvbuf, True)
        into.is_like(own, "Scatter")
        end = None if in_place(recvbuf) else _put_all([into])
        return self._begin("scatter", given.wire(), end, root=root)

    Scatter = waiting(Iscatter)

    def Iscatterv(self, sendbuf, recvbuf, root=0):
        """This rank's block of sendbuf of root, of a length of its own, into recvbuf."""
        if not self._root(root):
            into = simple(recvbuf, True)
            return self._begin("scatter_v", into.part(0, 0).wire(), _put_all([into]), root=root)
        given = vector(sendbuf, False, self.size)
        into = given[root] if in_place(recvbuf) else simple(recvbuf, True)
        into.is_like(given[root], "Scatterv")
        array, counts = joined(given)
        end = None if in_place(recvbuf) else _put_all([into])
        return self._begin("scatter_v", array, end, root=root, counts=counts)

    Scatterv = waiting(Iscatterv)

    def Ialltoall(self, sendbuf, recvbuf):
        """This rank's block of the buffer of every rank."""
        into = simple(recvbuf, True, self.size)
        given = into if in_place(sendbuf) else simple(sendbuf, False, self.size)
        into.is_like(given, "Alltoall")
        return self._begin("all_to_all", given.wire(), _put_all([into]))

    Alltoall = waiting(Ialltoall)

    def Ialltoallv(self, sendbuf, recvbuf):
        """This rank's block of the buffer of every rank, of lengths of their own."""
        into = vector(recvbuf, True, self.size)
        given = into if in_place(sendbuf) else vector(sendbuf, False, self.size)
        array, counts = joined(given)
        return self._begin("all_to_all_v", array, _put_all(into), counts=counts)

    Alltoallv = waiting(Ialltoallv)

    def Ialltoallw(self, sendbuf, recvbuf):
        """Alltoallv of blocks of types of their own: [data, counts, displacements, types].

        Displacements are in bytes; [data, types] is one element for each rank.
        """
        into = blocks_of_types(recvbuf, True, self.size)
        given = into if in_place(sendbuf) else blocks_of_types(sendbuf, False, self.size)
        array, counts = joined_bytes(given)
        return self._begin("all_to_all_v", array, _put_all(into), counts=counts)

    Alltoallw = waiting(Ialltoallw)


class Persistent:
    """Collective calls that are begun by Start, which all ranks do in the same order."""

    Barrier_init = persistent(Collectives.Ibarrier)
    Allreduce_init = persistent(Collectives.Iallreduce)
    Reduce_init = persistent(Collectives.Ireduce)
    Scan_init = persistent(Collectives.Iscan)
    Exscan_init = persistent(Collectives.Iexscan)
    Reduce_scatter_block_init = persistent(Collectives.Ireduce_scatter_block)
    Reduce_scatter_init = persistent(Collectives.Ireduce_scatter)
    Bcast_init = persistent(Collectives.Ibcast)
    Allgather_init = persistent(Collectives.Iallgather)
    Allgatherv_init = persistent(Collectives.Iallgatherv)
    Gather_init = persistent(Collectives.Igather)
    Gatherv_init = persistent(Collectives.Igatherv)
    Scatter_init = persistent(Collectives.Iscatter)
    Scatterv_init = persistent(Collectives.Iscatterv)
    Alltoall_init = persistent(Collectives.Ialltoall)
    Alltoallv_init = persistent(Collectives.Ialltoallv)
    Alltoallw_init = persistent(Collectives.Ialltoallw)
