"""Types of elements, and where they lie."""

import numpy

from .errors import Missing


class Datatype(Missing):
    """A type of elements: one of NumPy's, or some elements of one at offsets from the first.

    ``Create_contiguous``, ``Create_vector``, ``Create_indexed`` and ``Create_indexed_block``
    make others out of it. Offsets are counted in its own extent.
    """

    def __init__(self, name, dtype, offsets=(0,)):
        self._name, self._dtype = name, None if dtype is None else numpy.dtype(dtype)
        self._offsets = numpy.asarray(offsets, dtype=numpy.intp).reshape(-1)
        first, last = (self._offsets.min(), self._offsets.max()) if self._offsets.size else (0, -1)
        self._first, self._extent = int(first), int(last - first + 1)
        self.is_predefined = self._offsets.tolist() == [0]
        # Several of it lie apart where its own elements do.
        self._is_apart = numpy.unique(self._offsets).size == self._offsets.size

    def __repr__(self):
        return f"MPI.{self._name}"

    def __bool__(self):
        return self._dtype is not None

    def Get_size(self):
        """Bytes of all its elements."""
        return self._dtype.itemsize * self._offsets.size if self else 0

    def Get_extent(self):
        """Bytes from the beginning to its first element, and from there to the end of its last."""
        item = self._dtype.itemsize
        return self._first * item, self._extent * item

    size = property(Get_size)
    extent = property(lambda self: self.Get_extent()[1])

    def Get_name(self):
        """Its name in MPI."""
        return f"MPI_{self._name}"

    name = property(Get_name)

    def tocode(self):
        """NumPy's character for it."""
        return self._dtype.char

    def Create_contiguous(self, count):
        """So many, one after the other."""
        return self.Create_indexed([count], [0])

    def Create_vector(self, count, blocklength, stride):
        """``count`` blocks of ``blocklength``, whose beginnings are ``stride`` apart."""
        return self.Create_indexed_block(blocklength, [block * stride for block in range(count)])

    def Create_indexed_block(self, blocklength, displacements):
        """Blocks of ``blocklength`` that begin at displacements."""
        displacements = list(displacements)
        return self.Create_indexed([blocklength] * len(displacements), displacements)

    def Create_indexed(self, blocklengths, displacements):
        """Blocks of lengths of their own that begin at displacements."""
        blocklengths, displacements = list(blocklengths), list(displacements)
        if len(blocklengths) != len(displacements):
            raise ValueError(f"{len(blocklengths)} lengths of blocks and {len(displacements)} displacements")
        if min(blocklengths, default=0) < 0:
            raise ValueError(f"a block of {min(blocklengths)} elements")
        starts = [start + k for start, length in zip(displacements, blocklengths) for k in range(length)]
        starts = numpy.asarray(starts, dtype=numpy.intp).reshape(-1, 1)
        return Datatype(f"{self._name} at offsets", self._dtype, starts * self._extent + self._offsets)

    def Commit(self):
        """Itself; there is nothing to be done."""
        return self

    def Free(self):
        """Nothing has to be given back."""

    def _places(self, count):
        """The offsets of so many of them."""
        return (numpy.arange(count).reshape(-1, 1) * self._extent + self._offsets).reshape(-1)


DATATYPE_NULL = Datatype("DATATYPE_NULL", None)


def _pair(value, index):
    return numpy.dtype([("value", value), ("index", index)], align=True)


PREDEFINED = {
    name: Datatype(name, dtype)
    for name, dtype in {
        "C_BOOL": "?", "CXX_BOOL": "?", "BOOL": "?",
        "SIGNED_CHAR": "b", "SHORT": "h", "INT": "i", "LONG": "l", "LONG_LONG": "q",
        "UNSIGNED_CHAR": "B", "UNSIGNED_SHORT": "H", "UNSIGNED": "I", "UNSIGNED_INT": "I",
        "UNSIGNED_LONG": "L", "UNSIGNED_LONG_LONG": "Q",
        "INT8_T": "i1", "INT16_T": "i2", "INT32_T": "i4", "INT64_T": "i8",
        "UINT8_T": "u1", "UINT16_T": "u2", "UINT32_T": "u4", "UINT64_T": "u8",
        "FLOAT": "f", "DOUBLE": "d", "AINT": "p", "OFFSET": "i8", "COUNT": "i8",
        "C_COMPLEX": "F", "C_FLOAT_COMPLEX": "F", "C_DOUBLE_COMPLEX": "D",
        "COMPLEX": "F", "DOUBLE_COMPLEX": "D", "REAL": "f4", "DOUBLE_PRECISION": "f8", "INTEGER": "i4",
        "REAL4": "f4", "REAL8": "f8", "INTEGER4": "i4", "INTEGER8": "i8",
        "CHAR": "b", "BYTE": "B",
        "FLOAT_INT": _pair("f", "i"), "DOUBLE_INT": _pair("d", "i"), "LONG_INT": _pair("l", "i"),
        "SHORT_INT": _pair("h", "i"), "TWOINT": _pair("i", "i"), "INT_INT": _pair("i", "i"),
    }.items()
}  # fmt: skip
# No total of such elements would be exact.
for _name in ("LONG_DOUBLE", "C_LONG_DOUBLE_COMPLEX", "LONG_DOUBLE_INT"):
    PREDEFINED[_name] = DATATYPE_NULL

# The first of each type.
_BY_DTYPE = {}
for _datatype in PREDEFINED.values():
    _BY_DTYPE.setdefault(_datatype._dtype, _datatype)
# Bytes as they are: any element may be given as them.
RAW = PREDEFINED["BYTE"], PREDEFINED["CHAR"]


def of_dtype(dtype):
    """The type of elements of one of NumPy's."""
    return _BY_DTYPE.get(dtype) or Datatype(str(dtype), dtype)


def of_name(code):
    """The type of a character of NumPy's or the array module's, or of a name of MPI's."""
    found = PREDEFINED.get(code.removeprefix("MPI_"))
    if found:
        return found
    try:
        return of_dtype(numpy.dtype(code))
    except TypeError:
        raise ValueError(f"{code!r} names no type of elements; give one as 'd', or MPI.DOUBLE") from None
