"""Types of elements, and where they lie."""

import math
import operator

import numpy

from .errors import Missing

ORDER_C, ORDER_FORTRAN = 56, 57
# One byte of a structure of several types, which no operation takes for a number.
PART = numpy.dtype("V1")


class Datatype(Missing):
    """A type of elements: one of NumPy's, or elements at offsets from the first.

    The methods ``Create_...`` make others out of it. Displacements and strides are counted in
    its extent, those of ``Create_h...`` and ``Create_struct`` in bytes. Where displacements
    are addresses, of ``MPI.Get_address``, the type is one for ``MPI.BOTTOM``.
    """

    def __init__(self, datatype=None):
        if not isinstance(datatype, Datatype | None):
            raise TypeError(f"a {type(datatype).__name__} is no type of elements")
        vars(self).update(vars(DATATYPE_NULL if datatype is None else datatype))

    @classmethod
    def _of(cls, name, dtype, offsets, lower, extent, align=1, *, is_resized=False, is_predefined=False):
        made = cls.__new__(cls)
        made._name, made._dtype, made._offsets = name, dtype, offsets
        # Bytes to where it begins, and from there to where the next one does.
        made._lower, made._extent, made._align = lower, extent, align
        made._is_resized, made._is_predefined = is_resized, is_predefined
        item = dtype.itemsize if dtype else 0
        made._is_apart = are_apart(offsets, item)
        # Whether several of it are an array of its elements.
        made._is_dense = extent == offsets.size * item and numpy.array_equal(offsets, numpy.arange(offsets.size) * item)
        return made

    @classmethod
    def _single(cls, name, dtype, is_predefined=True):
        """The type of elements alone."""
        dtype = numpy.dtype(dtype)
        offsets = numpy.zeros(1, numpy.int64)
        return cls._of(name, dtype, offsets, 0, dtype.itemsize, dtype.alignment, is_predefined=is_predefined)

    @classmethod
    def _joined(cls, name, members):
        """The type of blocks: of each type with lengths and with displacements in bytes."""
        used = {datatype._dtype for datatype, lengths, _ in members if datatype._offsets.size and lengths.any()}
        dtypes = used or {datatype._dtype for datatype, *_ in members}
        dtype = dtypes.pop() if len(dtypes) == 1 else PART
        offsets, lowers, uppers = [numpy.zeros(0, numpy.int64)], [], []
        for datatype, lengths, starts in members:
            places = datatype._placed(lengths, starts)
            offsets.append(places if datatype._dtype == dtype else bytes_of(places, datatype._dtype.itemsize))
            if datatype._offsets.size or datatype._is_resized:
                starts, lengths = starts[lengths > 0] + datatype._lower, lengths[lengths > 0]
                lowers.extend(starts.tolist())
                uppers.extend((starts + lengths * datatype._extent).tolist())
        lower, upper = min(lowers, default=0), max(uppers, default=0)
        is_resized = any(datatype._is_resized for datatype, *_ in members)
        align = 1 if is_resized else max((datatype._align for datatype, *_ in members), default=1)
        extent = -(-(upper - lower) // align) * align
        return cls._of(name, dtype, numpy.concatenate(offsets), lower, extent, align, is_resized=is_resized)

    def _there(self):
        """Itself, if there is such a type."""
        if self._dtype is None:
            raise ValueError("MPI.DATATYPE_NULL is no type of elements; adsum has no long double")
        return self

    def __repr__(self):
        return f"MPI.{self._name}"

    def __bool__(self):
        return self._dtype is not None

    def __eq__(self, other):
        return self._offsets is other._offsets if isinstance(other, Datatype) else NotImplemented

    def __hash__(self):
        return id(self._offsets)

    def Get_size(self):
        """Bytes of all its elements."""
        return self._dtype.itemsize * self._offsets.size if self else 0

    def Get_extent(self):
        """Bytes from the beginning to where it begins, and from there to where the next one does."""
        return self._there()._lower, self._extent

    def Get_true_extent(self):
        """Bytes from the beginning to its first element, and from there to the end of its last."""
        if not self._there()._offsets.size:
            return 0, 0
        first, last = int(self._offsets.min()), int(self._offsets.max())
        return first, last + self._dtype.itemsize - first

    size = property(Get_size)
    lb = property(lambda self: self.Get_extent()[0])
    extent = property(lambda self: self.Get_extent()[1])
    ub = property(lambda self: sum(self.Get_extent()))
    true_lb = property(lambda self: self.Get_true_extent()[0])
    true_extent = property(lambda self: self.Get_true_extent()[1])
    true_ub = property(lambda self: sum(self.Get_true_extent()))
    is_predefined = is_named = property(lambda self: self._is_predefined)

    def Get_name(self):
        """Its name in MPI."""
        return f"MPI_{self._name}"

    name = property(Get_name)

    def tocode(self):
        """NumPy's character for it."""
        return self._there()._dtype.char

    @staticmethod
    def fromcode(code):
        """The type of a character of NumPy's, or of a name of MPI's."""
        return of_name(code)

    def Dup(self):
        """The same type again."""
        return self.Create_contiguous(1) if not self._is_resized else self.Create_resized(*self.Get_extent())

    def Create_contiguous(self, count):
        """So many, one after the other."""
        return self.Create_indexed([count], [0])

    def Create_vector(self, count, blocklength, stride):
        """``count`` blocks of ``blocklength``, whose beginnings are ``stride`` apart."""
        return self.Create_hvector(count, blocklength, stride * self._extent)

    def Create_hvector(self, count, blocklength, stride):
        """``count`` blocks of ``blocklength``, whose beginnings are ``stride`` bytes apart."""
        if count < 0:
            raise ValueError(f"{count} blocks")
        return self.Create_hindexed_block(blocklength, [block * stride for block in range(count)])

    def Create_indexed_block(self, blocklength, displacements):
        """Blocks of ``blocklength`` that begin at displacements."""
        displacements = list(displacements)
        return self.Create_indexed([blocklength] * len(displacements), displacements)

    def Create_hindexed_block(self, blocklength, displacements):
        """Blocks of ``blocklength`` that begin at displacements in bytes."""
        displacements = list(displacements)
        return self.Create_hindexed([blocklength] * len(displacements), displacements)

    def Create_indexed(self, blocklengths, displacements):
        """Blocks of lengths of their own that begin at displacements."""
        return self.Create_hindexed(blocklengths, [operator.index(start) * self._extent for start in displacements])

    def Create_hindexed(self, blocklengths, displacements):
        """Blocks of lengths of their own that begin at displacements in bytes."""
        return self._joined(f"{self._there()._name} at offsets", [(self, *_blocks(blocklengths, displacements))])

    @classmethod
    def Create_struct(cls, blocklengths, displacements, datatypes):
        """Blocks of lengths and types of their own that begin at displacements in bytes.

        One of several types of elements is moved, and not folded.
        """
        lengths, starts = _blocks(blocklengths, displacements)
        datatypes = [datatype._there() for datatype in datatypes]
        if len(datatypes) != lengths.size:
            raise ValueError(f"{lengths.size} lengths of blocks and {len(datatypes)} types")
        blocks = [(datatype, lengths[k : k + 1], starts[k : k + 1]) for k, datatype in enumerate(datatypes)]
        return cls._joined("structure", blocks)

    def Create_subarray(self, sizes, subsizes, starts, order=ORDER_C):
        """A part of an array of several axes, which begins at ``starts``; it extends over all."""
        shapes = [list(sizes), list(subsizes), list(starts)]
        for size, part, start in zip(*shapes, strict=True):
            if not (0 <= start and 1 <= part and start + part <= size):
                raise ValueError(f"{part} elements from {start} on of an axis of {size}")
        if order not in (ORDER_C, ORDER_FORTRAN):
            raise ValueError(f"the order {order!r}; give MPI.ORDER_C or MPI.ORDER_FORTRAN")
        places = numpy.arange(math.prod(shapes[0])).reshape(shapes[0], order="C" if order == ORDER_C else "F")
        part = places[tuple(slice(start, start + part) for part, start in zip(*shapes[1:]))]
        part = self.Create_indexed_block(1, numpy.sort(part, axis=None))
        return part.Create_resized(0, places.size * self._extent)

    def Create_resized(self, lb, extent):
        """The same, which begins at ``lb`` and after which the next one begins ``extent`` bytes on."""
        if extent < 0:
            raise ValueError(f"an extent of {extent} bytes")
        name, offsets = f"{self._there()._name} resized", self._offsets.copy()
        return self._of(name, self._dtype, offsets, operator.index(lb), operator.index(extent), is_resized=True)

    def Commit(self):
        """Itself; there is nothing to be done."""
        return self

    def Free(self):
        """Nothing has to be given back."""

    def _placed(self, lengths, starts):
        """The offsets of blocks of so many that begin there, in bytes."""
        before = numpy.repeat(numpy.cumsum(lengths) - lengths, lengths)
        first = numpy.repeat(starts, lengths) + (numpy.arange(before.size) - before) * self._extent
        return (first.reshape(-1, 1) + self._offsets).reshape(-1)

    def _places(self, count, start=0):
        """The offsets of so many of them, in bytes."""
        return self._placed(numpy.array([count]), numpy.array([start], numpy.int64))


def _blocks(lengths, starts):
    """The lengths and beginnings of blocks."""
    lengths, starts = [operator.index(one) for one in lengths], [operator.index(one) for one in starts]
    if len(lengths) != len(starts):
        raise ValueError(f"{len(lengths)} lengths of blocks and {len(starts)} displacements")
    if min(lengths, default=0) < 0:
        raise ValueError(f"a block of {min(lengths)} elements")
    return numpy.array(lengths, numpy.int64), numpy.array(starts, numpy.int64)


def bytes_of(places, item):
    """The places of all bytes of elements of so many."""
    return (places.reshape(-1, 1) + numpy.arange(item)).reshape(-1)


def are_apart(places, item):
    """Whether no two elements of so many bytes share one."""
    return bool((numpy.diff(numpy.sort(places)) >= item).all())


DATATYPE_NULL = Datatype._of("DATATYPE_NULL", None, numpy.zeros(0, numpy.int64), 0, 0)


def _pair(value, index):
    return numpy.dtype([("value", value), ("index", index)], align=True)


PREDEFINED = {
    name: Datatype._single(name, dtype)
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
    return _BY_DTYPE.get(dtype) or Datatype._single(str(dtype), dtype, is_predefined=False)


def of_name(code):
    """The type of a character of NumPy's or the array module's, or of a name of MPI's."""
    found = PREDEFINED.get(code.removeprefix("MPI_"))
    if found:
        return found
    try:
        return of_dtype(numpy.dtype(code))
    except TypeError:
        raise ValueError(f"{code!r} names no type of elements; give one as 'd', or MPI.DOUBLE") from None
