"""What is known of a message, and the numbers that stand for no rank and any tag."""

import operator

from .datatypes import RAW
from .errors import Missing

PROC_NULL, ANY_SOURCE, ANY_TAG, UNDEFINED = -2, -1, -1, -32766
TAG_MAX = 2**31 - 1


class Status(Missing):
    """Of a message that was received, or that is there: its sender, its tag, its length."""

    def __init__(self, status=None):
        if not isinstance(status, Status | None):
            raise TypeError(f"a {type(status).__name__} is no status")
        if status is not None:
            vars(self).update(vars(status))
        else:
            self._set()

    def _set(self, source=ANY_SOURCE, tag=ANY_TAG, length_bytes=0, cancelled=False):
        self.source, self.tag, self.error, self.cancelled = source, tag, 0, cancelled
        self._length_bytes = length_bytes

    def Get_source(self):
        """The rank that sent it."""
        return self.source

    def Set_source(self, source):
        """Says which rank sent it."""
        self.source = source

    def Get_tag(self):
        """Its tag."""
        return self.tag

    def Set_tag(self, tag):
        """Says what its tag is."""
        self.tag = tag

    def Get_error(self):
        """0: what fails raises."""
        return self.error

    def Set_error(self, error):
        """Says what its error is."""
        self.error = error

    def Get_count(self, datatype=RAW[0]):
        """Its length in elements of a type; UNDEFINED if that is no whole number."""
        count, rest = divmod(self._length_bytes, max(datatype._there().Get_size(), 1))
        return UNDEFINED if rest else count

    def Get_elements(self, datatype):
        """Its length in the elements that a type is made of; UNDEFINED if that is no whole number."""
        count, rest = divmod(self._length_bytes, datatype._there()._dtype.itemsize)
        return UNDEFINED if rest else count

    def Set_elements(self, datatype, count):
        """Says how many elements of a type it has."""
        self._length_bytes = datatype.Get_size() * operator.index(count)

    count = property(Get_count, lambda self, count: self.Set_elements(RAW[0], count))

    def Is_cancelled(self):
        """Whether it is of a receive that was cancelled."""
        return self.cancelled

    def Set_cancelled(self, flag):
        """Says whether it is of a call that was cancelled."""
        self.cancelled = bool(flag)
