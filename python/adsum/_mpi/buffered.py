"""Messages that are kept where they were sent until other ranks receive them."""

from .messages import Messages, persistent
from .requests import NOTHING, Request

BSEND_OVERHEAD = 0
# Those that are under way, with their groups, and the buffer that a program gave for them.
_kept, _attached = [], []


def flushed(group=None):
    """Waits until all of a group were received, or of every group."""
    for entry in [entry for entry in _kept if group is None or entry[0] is group]:
        _kept.remove(entry)
        entry[1].wait()


def Attach_buffer(buf):
    """Takes note of a buffer for Bsend, which needs none: messages are kept in memory of their own."""
    if _attached:
        raise ValueError("a buffer is attached; MPI.Detach_buffer() first")
    _attached.append(buf)


def Detach_buffer():
    """Waits until what Bsend sent was received, or is on its way; the buffer that was attached."""
    flushed()
    return _attached.pop() if _attached else None


class Buffered(Messages):
    """Sends that return at once, however long the message is.

    Free of the communicator, and the end of the program, wait until it is on its way.
    """

    def _keep(self, request):
        _kept[:] = [entry for entry in _kept if not entry[1]._call.test()]
        if not request._call.test():
            _kept.append((self._group, request))
        return Request._of(NOTHING, is_message=True)

    def Ibsend(self, buf, dest, tag=0):
        """Sends a buffer as Bsend. The request has ended."""
        return self._keep(self.Isend(buf, dest, tag))

    def Bsend(self, buf, dest, tag=0):
        """Sends a buffer of any length, and returns at once."""
        self.Ibsend(buf, dest, tag)

    def ibsend(self, obj, dest, tag=0):
        """Sends an object as bsend. The request has ended."""
        return self._keep(self.isend(obj, dest, tag))

    def bsend(self, obj, dest, tag=0):
        """Sends an object of any length, and returns at once."""
        self.ibsend(obj, dest, tag)

    Bsend_init = persistent(Ibsend)
