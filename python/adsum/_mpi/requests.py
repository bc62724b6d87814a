"""Calls that were begun."""

from .. import _adsum
from .errors import GroupError, Missing
from .status import ANY_SOURCE, ANY_TAG, UNDEFINED, Status


class Given:
    """A call that has ended, with what it gave."""

    def __init__(self, blocks=(), message=None):
        self._blocks, self._message = blocks, message

    def test(self):
        return True

    def wait(self):
        return self._blocks, self._message

    def cancel(self):
        return False


NOTHING = Given()


class _Both:
    """Two calls, of which the first has the result."""

    def __init__(self, *calls):
        self.calls = calls

    def test(self):
        return all(call.test() for call in self.calls)

    def wait(self):
        result, _ = [call.wait() for call in self.calls]
        return result

    def cancel(self):
        return False


class _Call:
    """A call under way: what the library has of it, and what is to be done at its end."""

    def __init__(self, pending, end, is_message):
        self._pending, self._end, self._is_message = pending, end, is_message
        self._value, self._known = None, ()

    def test(self):
        """Whether it has ended."""
        return self._pending is None or self._pending.test()

    def parts(self):
        """The calls of the library that it waits for."""
        calls = self._pending.calls if isinstance(self._pending, _Both) else (self._pending,)
        return [call for call in calls if not call.test()]

    def finish(self, status=None):
        """Waits for the end; the object, of a message that is received."""
        if self._pending is not None:
            # Whatever comes of it, it is over.
            pending, self._pending = self._pending, None
            blocks, message = pending.wait()
            if message is not None:
                source, tag, _, length_bytes = message
                self._known = source, tag, length_bytes
            if self._end is not None:
                self._value = self._end(blocks)
        if status is not None:
            status._set(*self._known)
        return self._value

    def cancel(self):
        """Ends a receive for which no message has come."""
        if not self._is_message:
            raise GroupError("a call that all ranks make cannot be cancelled by one; wait for it", "ERR_REQUEST")
        if self._pending is not None and self._pending.cancel():
            self._pending, self._end, self._known = None, None, (ANY_SOURCE, ANY_TAG, 0, True)


def first_ended(calls):
    """Waits until one of several calls has ended, and says which."""
    while True:
        waits_for = []
        for index, call in enumerate(calls):
            # One that ends after the look has no parts, and nobody would wake us for it.
            if call.test() or not (parts := call.parts()):
                return index
            waits_for += parts
        _adsum.wait_any(waits_for)


class Request(Missing):
    """A call that was begun. Its result is where it belongs when Wait or Test said so.

    Dropping a request drops its result alone; the call goes on.
    """

    def __init__(self, request=None):
        if not isinstance(request, Request | None):
            raise TypeError(f"a {type(request).__name__} is no request")
        # What is under way, and what begins it anew.
        self._call, self._begin = (None, None) if request is None else (request._call, request._begin)

    @classmethod
    def _of(cls, pending, end=None, is_message=False):
        """Of a call of the library's, with what is to be done with its arrays."""
        request = cls()
        request._call = _Call(pending, end, is_message)
        return request

    def _beside(self, other):
        """This message that is to come, and the end of another call."""
        return self._of(_Both(self._call._pending, other._call._pending), self._call._end, is_message=True)

    def __bool__(self):
        return self._call is not None or self._begin is not None

    def __eq__(self, other):
        return self._same() is other._same() if isinstance(other, Request) else NotImplemented

    def __hash__(self):
        return id(self._same())

    def _same(self):
        return self._call if self._begin is None else self._begin

    def wait(self, status=None):
        """Waits for the end; the object, of a message that is received."""
        call, self._call = self._call, None
        if call is not None:
            return call.finish(status)
        return _tell_nothing(status)

    def test(self, status=None):
        """Whether it has ended, and the object, as of wait."""
        if self._call is not None and not self._call.test():
            return False, None
        return True, self.wait(status)

    def get_status(self, status=None):
        """Whether it has ended; it stays to be waited for."""
        if self._call is None:
            _tell_nothing(status)
        elif not self._call.test():
            return False
        else:
            self._call.finish(status)
        return True

    def Wait(self, status=None):
        """Waits for the end. True."""
        self.wait(status)
        return True

    def Test(self, status=None):
        """Whether it has ended."""
        return self.test(status)[0]

    Get_status = get_status

    def Cancel(self):
        """Ends a receive if no message has come for it; status.Is_cancelled() says so.

        What was sent is not called back, and goes on. Calls of all ranks raise MPI.Exception.
        """
        if self._call is None:
            raise GroupError("no call is under way, of which one could be cancelled", "ERR_REQUEST")
        self._call.cancel()

    cancel = Cancel

    def Free(self):
        """Drops its result."""
        self._call = self._begin = None

    @classmethod
    def waitany(cls, requests, status=None):
        """Waits until one has ended: its index and object; UNDEFINED and None where none is under way.

        Ctrl-C ends the waiting alone, and all stay as they are.
        """
        active = _active(requests)
        if not active:
            return UNDEFINED, _tell_nothing(status)
        index = active[first_ended([requests[index]._call for index in active])]
        return index, requests[index].wait(status)

    @classmethod
    def testany(cls, requests, status=None):
        """The index of one that has ended, whether there is one, and its object.

        UNDEFINED and True where none is under way.
        """
        active = _active(requests)
        for index in active:
            if requests[index]._call.test():
                return index, True, requests[index].wait(status)
        return UNDEFINED, not active, _tell_nothing(status)

    @classmethod
    def waitsome(cls, requests, statuses=None):
        """Waits until some have ended: their indices and objects; None of each where none is under way."""
        active = _active(requests)
        if active:
            first_ended([requests[index]._call for index in active])
        return cls.testsome(requests, statuses)

    @classmethod
    def testsome(cls, requests, statuses=None):
        """The indices and objects of those that have ended; None of each where none is under way."""
        active = _active(requests)
        if not active:
            return None, None
        ended = [index for index in active if requests[index]._call.test()]
        return ended, cls.waitall([requests[index] for index in ended], statuses)

    @classmethod
    def waitall(cls, requests, statuses=None):
        """Waits for all; their objects. All have ended, where one raises it does so then."""
        values, raised = [], None
        for request, status in zip(requests, _spread(statuses, len(requests))):
            try:
                values.append(request.wait(status))
            except Exception as error:
                raised = raised or error
        if raised is not None:
            raise raised
        return values

    @classmethod
    def testall(cls, requests, statuses=None):
        """Whether all have ended, and their objects if so."""
        if not all(request._call is None or request._call.test() for request in requests):
            return False, None
        return True, cls.waitall(requests, statuses)

    @classmethod
    def Waitany(cls, requests, status=None):
        """Waits until one has ended: its index, UNDEFINED where none is under way."""
        return cls.waitany(requests, status)[0]

    @classmethod
    def Testany(cls, requests, status=None):
        """The index of one that has ended, and whether there is one, as of testany."""
        return cls.testany(requests, status)[:2]

    @classmethod
    def Waitsome(cls, requests, statuses=None):
        """Waits until some have ended: their indices; None where none is under way."""
        return cls.waitsome(requests, statuses)[0]

    @classmethod
    def Testsome(cls, requests, statuses=None):
        """The indices of those that have ended; None where none is under way."""
        return cls.testsome(requests, statuses)[0]

    @classmethod
    def Waitall(cls, requests, statuses=None):
        """Waits for all. True."""
        cls.waitall(requests, statuses)
        return True

    @classmethod
    def Testall(cls, requests, statuses=None):
        """Whether all have ended."""
        return cls.testall(requests, statuses)[0]


class Prequest(Request):
    """A call that is begun by Start, as often as one wants, with the same arguments.

    What they are is looked at by Start: buffers may have changed, and what does not fit is
    refused there. Between its end and the next Start it is waited for at once.
    """

    @classmethod
    def _by(cls, begin):
        """Of what begins it."""
        request = cls()
        request._begin = begin
        return request

    def Start(self):
        """Begins it."""
        if self._begin is None:
            raise GroupError("a persistent call that was freed", "ERR_REQUEST")
        if self._call is not None:
            raise GroupError("a persistent call that is under way; wait for it first", "ERR_REQUEST")
        self._call = self._begin()._call

    @classmethod
    def Startall(cls, requests):
        """Begins all, in their order."""
        for request in requests:
            request.Start()


REQUEST_NULL = Request()


def _active(requests):
    """The indices of those under way."""
    return [index for index, request in enumerate(requests) if request._call is not None]


def _tell_nothing(status):
    if status is not None:
        status._set()


def _spread(statuses, count):
    """A status, or none, for each of so many; a list is made as long."""
    if isinstance(statuses, list):
        statuses.extend(Status() for _ in range(count - len(statuses)))
    given = list(statuses or ())[:count]
    return given + [None] * (count - len(given))
