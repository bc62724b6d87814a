"""Messages from one rank to one other."""

import functools
import warnings

import numpy

from .. import _objects
from .buffers import simple
from .errors import GroupError, Missing
from .objects import dumped
from .requests import NOTHING, Given, Prequest, Request
from .status import ANY_SOURCE, ANY_TAG, PROC_NULL, TAG_MAX


def persistent(begin):
    """The form of a call that is begun by Start."""

    def call(self, *args, **kwargs):
        return Prequest._by(functools.partial(begin, self, *args, **kwargs))

    call.__name__ = call.__qualname__ = f"{begin.__name__[1:].capitalize()}_init"
    call.__doc__ = f"A Prequest, of which each Start is a call of {begin.__name__}."
    return call


def _put_into(span):
    """Puts a message into a buffer, in which it must have room."""

    def put(blocks):
        count, rest = divmod(blocks[0].nbytes, span.dtype.itemsize)
        if count > span.size:
            raise GroupError(
                f"a message of {count} elements of {span.dtype}, in a buffer of {span.size}", "ERR_TRUNCATE"
            )
        span.part(0, count + bool(rest)).put(blocks[0])

    return put


def _loaded(blocks):
    """The object of a message; None of no message."""
    return _objects.loads(blocks[0]) if blocks else None


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

    def _wanted(self, source, tag):
        """A source and a tag as the library has them."""
        self._check(source, tag, True)
        return None if source == ANY_SOURCE else source, None if tag == ANY_TAG else tag

    def _send(self, array, dest, tag, until_received=False):
        self._check(dest, tag, False)
        pending = NOTHING if dest == PROC_NULL else self._group.send(array, dest, tag, until_received)
        return Request._of(pending, is_message=True)

    def _receive(self, like, source, tag, end):
        wanted = self._wanted(source, tag)
        if source == PROC_NULL:
            return Request._of(FROM_NOBODY, is_message=True)
        return Request._of(self._group.receive(like, *wanted), end, is_message=True)

    def Isend(self, buf, dest, tag=0):
        """Begins to send a buffer, which may be used again at once."""
        return self._send(simple(buf, False).wire(), dest, tag)

    def Send(self, buf, dest, tag=0):
        """Sends a buffer: at once if it is small, else when the other rank receives it."""
        self.Isend(buf, dest, tag).Wait()

    def Issend(self, buf, dest, tag=0):
        """Begins to send a buffer; the end is when the other rank has begun to receive it."""
        return self._send(simple(buf, False).wire(), dest, tag, True)

    def Ssend(self, buf, dest, tag=0):
        """Sends a buffer, and returns when the other rank has begun to receive it."""
        self.Issend(buf, dest, tag).Wait()

    def Irsend(self, buf, dest, tag=0):
        """Isend to a rank that receives already, which makes no difference."""
        return self.Isend(buf, dest, tag)

    def Rsend(self, buf, dest, tag=0):
        """Send to a rank that receives already, which makes no difference."""
        self.Send(buf, dest, tag)

    def Irecv(self, buf, source=ANY_SOURCE, tag=ANY_TAG):
        """Begins to receive into a buffer, in which the message must have room."""
        span = simple(buf, True)
        return self._receive(span.part(0, 0).wire(), source, tag, _put_into(span))

    def Recv(self, buf, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Receives into a buffer, in which the message must have room; status has its length."""
        self.Irecv(buf, source, tag).Wait(status)

    Send_init, Ssend_init, Rsend_init = persistent(Isend), persistent(Issend), persistent(Irsend)
    Recv_init = persistent(Irecv)

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

    def Isendrecv(self, sendbuf, dest, sendtag=0, recvbuf=None, source=ANY_SOURCE, recvtag=ANY_TAG):
        """Begins Sendrecv."""
        received = self.Irecv(recvbuf, source, recvtag)
        return received._beside(self.Isend(sendbuf, dest, sendtag))

    def Isendrecv_replace(self, buf, dest, sendtag=0, source=ANY_SOURCE, recvtag=ANY_TAG):
        """Begins Sendrecv_replace."""
        sent = self.Isend(buf, dest, sendtag)
        return self.Irecv(buf, source, recvtag)._beside(sent)

    def isend(self, obj, dest, tag=0):
        """Begins to send an object."""
        return self._send(dumped(obj), dest, tag)

    def send(self, obj, dest, tag=0):
        """Sends an object: at once if it is small, else when the other rank receives it."""
        self.isend(obj, dest, tag).wait()

    def issend(self, obj, dest, tag=0):
        """Begins to send an object; the end is when the other rank has begun to receive it."""
        return self._send(dumped(obj), dest, tag, True)

    def ssend(self, obj, dest, tag=0):
        """Sends an object, and returns when the other rank has begun to receive it."""
        self.issend(obj, dest, tag).wait()

    def irecv(self, buf=None, source=ANY_SOURCE, tag=ANY_TAG):
        """Begins to receive an object, which wait gives. buf is not looked at."""
        return self._receive(numpy.empty(0, "u1"), source, tag, _loaded)

    def recv(self, buf=None, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Receives an object. buf is not looked at."""
        if buf is not None:
            said = "recv has no use for a buffer; the rank to receive from is source="
            warnings.warn(said, UserWarning, stacklevel=2)
        return self.irecv(None, source, tag).wait(status)

    def sendrecv(
        self, sendobj, dest, sendtag=0, recvbuf=None, source=ANY_SOURCE, recvtag=ANY_TAG, status=None
    ):  # fmt: skip
        """send and recv at once."""
        received = self.irecv(recvbuf, source, recvtag)
        self.send(sendobj, dest, sendtag)
        return received.wait(status)

    def Probe(self, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Waits for a message, of which status then has the length, and leaves it to be received. True."""
        wanted = self._wanted(source, tag)
        return Request._of(FROM_NOBODY if source == PROC_NULL else self._group.probe(*wanted)).Wait(status)

    def Iprobe(self, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Whether a message is there, as of Probe."""
        wanted = self._wanted(source, tag)
        found = FROM_NOBODY.wait()[1] if source == PROC_NULL else self._group.probe_now(*wanted)
        Request._of(Given(message=found)).Wait(status)
        return found is not None

    def Mprobe(self, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Waits for a message and takes it: a Message, for the thread that has it to receive."""
        wanted = self._wanted(source, tag)
        return Message._taken(FROM_NOBODY if source == PROC_NULL else self._group.receive_any(*wanted), status)

    def Improbe(self, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Takes a message that is there, as Mprobe; None if none is."""
        wanted = self._wanted(source, tag)
        pending = FROM_NOBODY if source == PROC_NULL else self._group.receive_any_now(*wanted)
        if pending is not None:
            return Message._taken(pending, status)
        return Request().wait(status)

    probe, iprobe, mprobe, improbe = Probe, Iprobe, Mprobe, Improbe


# What a receive from PROC_NULL gives.
FROM_NOBODY = Given((), (PROC_NULL, ANY_TAG, None, 0))


class Message(Missing):
    """A message that Mprobe has taken, to be received once."""

    def __init__(self, message=None):
        if not isinstance(message, Message | None):
            raise TypeError(f"a {type(message).__name__} is no message")
        self._given = None if message is None else message._given

    @classmethod
    def _taken(cls, pending, status):
        message = cls()
        message._given = pending if pending is FROM_NOBODY else Given(*pending.wait())
        Request._of(message._given).Wait(status)
        return message

    def __bool__(self):
        return self._given is not None

    def __eq__(self, other):
        return self._given is other._given if isinstance(other, Message) else NotImplemented

    def __hash__(self):
        return id(self._given)

    def _there(self):
        if self._given is None:
            raise GroupError("this message was received, or is MPI.MESSAGE_NULL", "ERR_REQUEST")
        return self._given

    def _opened(self):
        given = self._there()
        if self is not MESSAGE_NO_PROC:
            self._given = None
        return given

    def Irecv(self, buf):
        """Begins to receive it into a buffer, in which it must have room."""
        given = self._there()
        if given is FROM_NOBODY:
            return Request._of(self._opened(), is_message=True)
        span, (source, _, dtype, length_bytes) = simple(buf, True), given.wait()[1]
        wanted = span.wire().dtype.name
        if dtype != wanted.replace("bool", "uint8"):
            said = f"rank {source} sent {length_bytes} bytes of {dtype}, {wanted} was to be received"
            raise GroupError(said, "ERR_TYPE")
        # A buffer that does not fit leaves it there for another.
        return Request._of(self._opened(), _put_into(span), is_message=True)

    def Recv(self, buf, status=None):
        """Receives it into a buffer, in which it must have room; status has its length."""
        self.Irecv(buf).Wait(status)

    def irecv(self):
        """Begins to receive it as an object, which wait gives."""
        return Request._of(self._opened(), _loaded, is_message=True)

    def recv(self, status=None):
        """Receives it as an object."""
        return self.irecv().wait(status)

    @classmethod
    def Probe(cls, comm, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Mprobe of a communicator."""
        return comm.Mprobe(source, tag, status)

    @classmethod
    def Iprobe(cls, comm, source=ANY_SOURCE, tag=ANY_TAG, status=None):
        """Improbe of a communicator."""
        return comm.Improbe(source, tag, status)

    probe, iprobe = Probe, Iprobe


MESSAGE_NULL, MESSAGE_NO_PROC = Message(), Message()
MESSAGE_NO_PROC._given = FROM_NOBODY
