"""Messages from one rank to one other."""

import numpy

from .. import _objects
from .buffers import simple
from .errors import GroupError
from .objects import dumped
from .requests import ANY_SOURCE, ANY_TAG, NOTHING, PROC_NULL, TAG_MAX, Request


class Messages:
    """Messages by rank and tag.

    Of two that fit, the one that was sent first is received first. A message is received
    by the kind of call that sent it, a buffer of the type that it was sent as. PROC_NULL is
    a rank to which nothing goes, and from which nothing comes.
    """

    def _check(self, rank, tag, wildcards):
        if not (0 <= rank < self.size or rank == PROC_NULL or (wildcards and rank == ANY_SOURCE)):
            raise GroupError(f"rank {rank} of a communicator of {self.size}", "ERR_RANK")
        if not (0 <= tag <= TAG_MAX or (wildcards and tag == ANY_TAG)):
            raise GroupError(f"tag {tag}; tags are 0 to {TAG_MAX}", "ERR_TAG")

    def _send(self, array, dest, tag):
        self._check(dest, tag, False)
        return Request(NOTHING if dest == PROC_NULL else self._group.send(array, dest, tag))

    def _receive(self, like, source, tag, end):
        self._check(source, tag, True)
        if source == PROC_NULL:
            return Request(NOTHING, message=(PROC_NULL, ANY_TAG, 0))
        source, tag = None if source == ANY_SOURCE else source, None if tag == ANY_TAG else tag
        return Request(self._group.receive(like, source, tag), end)

    def Isend(self, buf, dest, tag=0):
        """Begins to send a buffer, which may be used again at once."""
        return self._send(simple(buf, False).wire(), dest, tag)

    def Send(self, buf, dest, tag=0):
        """Sends a buffer: at once if it is small, else when the other rank receives it."""
        self.Isend(buf, dest, tag).Wait()

    def Irecv(self, buf, source=ANY_SOURCE, tag=ANY_TAG):
        """Begins to receive into a buffer, in which the message must have room."""
        span = simple(buf, True)

        def put(blocks):
            count, rest = divmod(blocks[0].nbytes, span.dtype.itemsize)
            if count > span.size:
                raise GroupError(
                    f"a message of {count} elements of {span.dtype}, in a buffer of {span.size}", "ERR_TRUNCATE"
                )
            span.part(0, count + bool(rest)).put(blocks[0])

        return self._receive(span.part(0, 0).wire(), source, tag, put)

    def Recv(self, buf, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Receives into a buffer, in which the message must have room; status has its length."""
        self.Irecv(buf, source, tag).Wait(status)

    def Sendrecv(
        self, sendbuf, dest, sendtag=0, recvbuf=None, source=ANY_SOURCE, recvtag=ANY_TAG, status=None
    ):  # fmt: skip
        """Send and Recv at once."""
        received = self.Irecv(recvbuf, source, recvtag)
        self.Send(sendbuf, dest, sendtag)
        received.Wait(status)

    def Sendrecv_replace(
        self, buf, dest, sendtag=0, source=ANY_SOURCE, recvtag=ANY_TAG, status=None
    ):  # fmt: skip
        """Sendrecv of what the buffer had, into the same buffer."""
        sent = self.Isend(buf, dest, sendtag)
        self.Recv(buf, source, recvtag, status)
        sent.Wait()

    def isend(self, obj, dest, tag=0):
        """Begins to send an object."""
        return self._send(dumped(obj), dest, tag)

    def send(self, obj, dest, tag=0):
        """Sends an object: at once if it is small, else when the other rank receives it."""
        self.isend(obj, dest, tag).wait()

    def irecv(self, buf=None, source=ANY_SOURCE, tag=ANY_TAG):
        """Begins to receive an object, which wait gives. buf is not looked at."""
        return self._receive(numpy.empty(0, "u1"), source, tag, lambda blocks: _objects.loads(blocks[0]))

    def recv(self, buf=None, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Receives an object. buf is not looked at."""
        return self.irecv(buf, source, tag).wait(status)

    def sendrecv(
        self, sendobj, dest, sendtag=0, recvbuf=None, source=ANY_SOURCE, recvtag=ANY_TAG, status=None
    ):  # fmt: skip
        """send and recv at once."""
        received = self.irecv(recvbuf, source, recvtag)
        self.send(sendobj, dest, sendtag)
        return received.wait(status)
