"""Calls that were begun, and what is known of a message."""

from .datatypes import RAW
from .errors import Missing

PROC_NULL, ANY_SOURCE, ANY_TAG, UNDEFINED = -2, -1, -1, -32766
TAG_MAX = 2**31 - 1


class Status(Missing):
    """Of a message that was received: its sender, its tag, its length."""

    def __init__(self):
        self.source, self.tag, self._bytes = ANY_SOURCE, ANY_TAG, 0
        self.error = 0

    def Get_source(self):
        """The rank that sent it."""
        return self.source

    def Get_tag(self):
        """Its tag."""
        return self.tag

    def Get_error(self):
        """0: what fails raises."""
        return self.error

    def Get_count(self, datatype=RAW[0]):
        """Its length in elements of a type; UNDEFINED if that is no whole number."""
        count, rest = divmod(self._bytes, datatype.Get_size())
        return UNDEFINED if rest else count

    Get_elements = Get_count
    count = property(Get_count)

    def Is_cancelled(self):
        """False."""
        return False

    def _set(self, source, tag, length_bytes):
        self.source, self.tag, self._bytes = source, tag, length_bytes


class _Nothing:
    """A call that has nothing to do."""

    def test(self):
        return True

    def wait(self):
        return [], None


NOTHING = _Nothing()


class Request(Missing):
    """A call that was begun. Its result is where it belongs when Wait or Test said so.

    Dropping a request drops its result alone; the call goes on.
    """

    def __init__(self, pending=None, end=None, message=None):
        self._pending, self._end = pending, end
        self._value, self._message = None, message

    def __bool__(self):
        return self._pending is not None

    def wait(self, status=None):
        """Waits for the end; the object, of a message that is received."""
        if self._pending is not None:
            # Whatever comes of it, it is over.
            pending, self._pending = self._pending, None
            blocks, message = pending.wait()
            if message is not None:
                self._message = (*message, sum(block.nbytes for block in blocks))
            end, self._end = self._end, None
            self._value = end(blocks) if end else None
        if status is not None and self._message is not None:
            status._set(*self._message)
        return self._value

    def test(self, status=None):
        """Whether it has ended, and the object, as of wait."""
        if self._pending is not None and not self._pending.test():
            return False, None
        return True, self.wait(status)

    def Wait(self, status=None):
        """Waits for the end. True."""
        self.wait(status)
        return True

    def Test(self, status=None):
        """Whether it has ended."""
        return self.test(status)[0]

    def Free(self):
        """Drops its result."""
        self._pending = self._end = None

    @classmethod
    def waitall(cls, requests, statuses=None):
        """Waits for all; their objects. All have ended, where one raises it does so then."""
        values, raised = [], None
        for index, request in enumerate(requests):
            try:
                values.append(request.wait(_nth(statuses, index)))
            except Exception as error:
                raised = raised or error
        if raised is not None:
            raise raised
        return values

    @classmethod
    def testall(cls, requests, statuses=None):
        """Whether all have ended, and their objects if so."""
        if not all(request._pending is None or request._pending.test() for request in requests):
            return False, None
        return True, cls.waitall(requests, statuses)

    @classmethod
    def Waitall(cls, requests, statuses=None):
        """Waits for all. True."""
        cls.waitall(requests, statuses)
        return True

    @classmethod
    def Testall(cls, requests, statuses=None):
        """Whether all have ended."""
        return cls.testall(requests, statuses)[0]


REQUEST_NULL = Request()


def _nth(statuses, index):
    if statuses is None:
        return None
    while len(statuses) <= index:
        statuses.append(Status())
    return statuses[index]
