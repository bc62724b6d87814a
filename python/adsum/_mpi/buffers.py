"""The memory that a call is given: arrays, counts, displacements and types.

What programs write is ``data``, ``[data, type]``, ``[data, count]``, ``[data, count, type]``
or ``[data, (count, displacement), type]``, for blocks of many lengths ``[data, counts]``,
``[data, (counts, displacements)]``, ``[data, counts, displacements, type]`` and with a type
behind. One number for counts is that of all blocks, for displacements the distance from each
to the next. Data is a NumPy array, or what exports its memory: bytes, bytearray, memoryview,
array.array, CPU tensors by DLPack. Counts and displacements are in elements of the type.
BOTTOM as data is all memory of the process, where a type of addresses says what is meant: it is
the caller's word that memory is there, and lives until the call has ended.
"""

import ctypes
import sys

import numpy

from .datatypes import PART, RAW, Datatype, are_apart, bytes_of, of_dtype, of_name
from .errors import GroupError


class _Named:
    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return self._name

    def __reduce__(self):
        return self._name.removeprefix("MPI.")


BOTTOM, IN_PLACE = _Named("MPI.BOTTOM"), _Named("MPI.IN_PLACE")


def in_place(given):
    """Whether a call is to find there what it has from elsewhere."""
    return given is None or given is IN_PLACE


class Span:
    """Some elements in a flat array: a range of it, or those at places.

    ``type`` is what they were given as, ``dtype`` NumPy's type of them. The array is one of
    them, or where they lie at any bytes one of bytes; places are counted in its items.
    """

    def __init__(self, array, datatype, places=None):
        self.array, self.type, self.places, self.dtype = array, datatype, places, datatype._dtype
        # Items of the array that are one element.
        self._items = self.dtype.itemsize // array.dtype.itemsize
        self.size = (array.size if places is None else places.size) // self._items

    @property
    def is_plain(self):
        """Whether they lie in memory as arrays do."""
        return self.places is None and self.array.flags.aligned

    def packed(self):
        """They alone, one after the other: the memory itself where they lie so."""
        if self.places is not None:
            return self.array[self.places].view(self.dtype)
        return self.array if self.array.flags.aligned else self.array.copy()

    def wire(self):
        """They alone, as elements that ranks exchange: parts of complex numbers, bytes of pairs."""
        packed = self.packed()
        if self.dtype.kind == "c":
            return packed.view(self.dtype.char.lower())
        return packed.view("u1") if self.dtype.type is numpy.void else packed

    def put(self, values):
        """Takes as many values, whose bytes are elements of this type."""
        if values.size * values.itemsize != self.size * self.dtype.itemsize:
            raise GroupError(
                f"{values.size * values.itemsize} bytes came for {self.size} elements of {self.dtype}", "ERR_TRUNCATE"
            )
        values = values.view(self.array.dtype)
        if self.places is None:
            self.array[:] = values
        else:
            self.array[self.places] = values

    def part(self, start, count):
        """So many of the elements, from the start-th on."""
        if self.places is None:
            return Span(self.array[start : start + count], self.type)
        return Span(self.array, self.type, self.places[start * self._items : (start + count) * self._items])

    def copy_from(self, other, call):
        """Takes the elements of another span, which are as many and of this type."""
        self.is_like(other, call)
        if other is not self and self.size:
            self.put(other.packed())

    def is_like(self, other, call):
        """Refuses another one of another type or length."""
        if (other.dtype, other.size) != (self.dtype, self.size):
            raise ValueError(
                f"{call}: {other.size} elements of {other.dtype} sent, {self.size} of {self.dtype} received"
            )


class _Tensor:
    """The memory of a CPU tensor that comes by DLPack.

    Before its version 1 that has no word on what may be written; who receives into a tensor
    says so.
    """

    def __init__(self, data):
        self._data = data
        self._view = numpy.from_dlpack(self)
        self.__array_interface__ = self._view.__array_interface__
        if "versioned" not in repr(self._capsule):
            self.__array_interface__["data"] = self._view.ctypes.data, False

    def __dlpack_device__(self):
        return self._data.__dlpack_device__()

    def __dlpack__(self, **asked):
        try:
            self._capsule = self._data.__dlpack__(**asked)
        except TypeError:
            self._capsule = self._data.__dlpack__()
        return self._capsule

    def __del__(self):
        # There are tensors whose memory lives as long as the capsule.
        self._view = None


def _array(data, writes, copies=True):
    """The flat array of the memory that data has; with copies, where it has none, of a copy."""
    if isinstance(data, numpy.ma.MaskedArray):
        raise TypeError("a masked array, whose mask would be lost; give x.filled(...)")
    if isinstance(data, numpy.ndarray):
        array = numpy.asarray(data)
    elif hasattr(data, "__dlpack__") and hasattr(data, "__dlpack_device__"):
        if data.__dlpack_device__()[0] != 1:
            raise TypeError(f"a {type(data).__name__} on a device; copy it to the CPU")
        array = numpy.asarray(_Tensor(data))
    elif hasattr(data, "__cuda_array_interface__"):
        raise TypeError(f"a {type(data).__name__} on a device; copy it to the CPU")
    else:
        try:
            array = numpy.asarray(memoryview(data))
        except TypeError:
            array = numpy.asarray(data)
            if writes or not copies or array.dtype.kind == "O":
                raise TypeError(f"a {type(data).__name__} is no array, and has no memory like one") from None
    if not array.flags.c_contiguous or not array.flags.aligned or not array.dtype.isnative:
        raise ValueError("a buffer must be contiguous, aligned and in native byte order; use numpy.ascontiguousarray")
    if writes and not array.flags.writeable:
        raise ValueError("the array to receive into is read-only")
    return array.reshape(-1)


def address(location):
    """Where the memory of an array, or of what exports its memory, begins; 0 for BOTTOM."""
    if location is None or location is BOTTOM:
        return 0
    return _array(location, False, copies=False).ctypes.data


def _typed(array, datatype):
    """An array as elements of a type, or as bytes where that is not one array of them."""
    wanted = datatype._there()._dtype
    if array.dtype == wanted and datatype._is_dense:
        return array
    is_bytes = array.dtype.type in (numpy.uint8, numpy.void, numpy.bytes_)
    if not (array.dtype == wanted or is_bytes or datatype in RAW or wanted == PART):
        raise ValueError(f"an array of {array.dtype} given as {datatype!r}")
    if not datatype._is_dense:
        return array.view("u1")
    if array.nbytes % wanted.itemsize:
        raise ValueError(f"{array.nbytes} bytes are no whole number of {datatype!r}")
    return array.view(wanted)


def _parsed(given):
    """Data, counts, displacements and the type of what a program wrote; None for what it did not."""
    if not isinstance(given, (list, tuple)):
        return given, None, None, None
    data, rest = given[0] if given else None, list(given[1:])
    datatype = rest.pop() if rest and isinstance(rest[-1], (Datatype, str)) else None
    if len(rest) == 2 or (len(rest) == 1 and isinstance(rest[0], tuple) and len(rest[0]) == 2):
        counts, displacements = rest if len(rest) == 2 else rest[0]
    elif len(rest) <= 1 and given:
        counts, displacements = rest[0] if rest else None, None
    else:
        raise ValueError(f"a buffer of {len(given)} parts; give [data, count, type], with what you need of it")
    return data, counts, displacements, of_name(datatype) if isinstance(datatype, str) else datatype


def _resolved(data, datatype, writes):
    """The array of data as elements of a type or as bytes, and the type; data that is BOTTOM as it is."""
    if data is BOTTOM:
        if datatype is None:
            raise ValueError("MPI.BOTTOM is no array; give [MPI.BOTTOM, count, type]")
        return BOTTOM, datatype
    array = numpy.empty(0, "u1") if data is None else _array(data, writes)
    datatype = of_dtype(array.dtype) if datatype is None else datatype
    return _typed(array, datatype), datatype


def _whole_number(value, what):
    try:
        number = value.__index__()
    except AttributeError:
        raise TypeError(f"{what} {value!r} is no whole number") from None
    if number < 0 and what == "count":
        raise ValueError(f"a buffer of {number} elements")
    return number


def _span(array, datatype, count, start, writes):
    """So many of a type, the first so many bytes from the beginning of an array, or of all memory."""
    item, each = datatype._there()._dtype.itemsize, datatype._offsets.size
    if array is not BOTTOM and datatype._is_dense and start % item == 0:
        whole = _whole(array, datatype)
        first = start // item
        end = first + count * each
        if first < end and not 0 <= first < end <= whole.size:
            raise ValueError(_outside(datatype, count, start, first, end, whole.size))
        return Span(whole[first:end], datatype)
    places = datatype._places(count, start)
    if writes and not (datatype._is_apart and (count < 2 or are_apart(places, item))):
        raise ValueError(f"{datatype!r} has elements twice, of which one would be lost; it is for sending alone")
    first, end = (int(places.min()), int(places.max()) + item) if places.size else (0, 0)
    if array is BOTTOM:
        array, places = _memory(datatype, first, end, writes), places - first
    elif not 0 <= first <= end <= array.nbytes:
        raise ValueError(_outside(datatype, count, start, first // item, -(-end // item), array.nbytes // item))
    memory = array.view("u1")
    whole = _whole(memory, datatype)
    if whole.flags.aligned and not (places % item).any():
        return Span(whole, datatype, places // item)
    return Span(memory, datatype, bytes_of(places, item))


def _whole(array, datatype):
    """The elements of a type that bytes are, up to the last whole one."""
    item = datatype._dtype.itemsize
    return array if array.dtype == datatype._dtype else array[: array.size // item * item].view(datatype._dtype)


def _outside(datatype, count, start, first, end, size):
    return f"{count} of {datatype!r} from byte {start} on reach elements {first} to {end - 1} of an array of {size}"


# No program has memory there.
_LOWEST_ADDRESS = 4096


def _memory(datatype, first, end, writes):
    """The bytes from one address to another, which the caller says are there."""
    if first == end:
        return numpy.empty(0, "u1")
    if not _LOWEST_ADDRESS <= first < end <= sys.maxsize:
        raise ValueError(
            f"MPI.BOTTOM with {datatype!r} is address {first}, where no memory is; make the type of addresses, "
            "as in MPI.Datatype.Create_struct([count], [MPI.Get_address(array)], [MPI.DOUBLE])"
        )
    memory = numpy.frombuffer((ctypes.c_ubyte * (end - first)).from_address(first), "u1")
    memory.flags.writeable = writes
    return memory


def simple(given, writes, blocks=1):
    """One span, in so many blocks of equal length, to each of which the count belongs."""
    data, count, displacement, datatype = _parsed(given)
    array, datatype = _resolved(data, datatype, writes)
    displacement = 0 if displacement is None else _whole_number(displacement, "displacement")
    start = displacement * datatype._extent
    if count is not None:
        count = _whole_number(count, "count") * blocks
    elif array is BOTTOM:
        raise ValueError("MPI.BOTTOM has no length; give [MPI.BOTTOM, count, type]")
    else:
        count = max(array.nbytes - start, 0) // max(datatype._extent, 1)
        if count % blocks:
            raise ValueError(f"{count} of {datatype!r} are no whole blocks for {blocks} ranks")
    return _span(array, datatype, count, start, writes)


def vector(given, writes, size):
    """A span for each rank."""
    data, counts, displacements, datatype = _parsed(given)
    array, datatype = _resolved(data, datatype, writes)
    if counts is None:
        if array is BOTTOM:
            raise ValueError("MPI.BOTTOM has no length; give [MPI.BOTTOM, counts, displacements, type]")
        counts, rest = divmod(array.nbytes // max(datatype._extent, 1), size)
        if rest:
            raise ValueError(f"{array.nbytes} bytes are no whole blocks of {datatype!r} for {size} ranks; give counts")
    counts = _counts(counts, size)
    if displacements is None:
        displacements = [sum(counts[:rank]) for rank in range(size)]
    displacements = _displacements(displacements, size)
    if writes and datatype._is_dense:
        _are_apart(counts, displacements)
    starts = [displacement * datatype._extent for displacement in displacements]
    return [_span(array, datatype, *both, writes) for both in zip(counts, starts)]


def blocks_of_types(given, writes, size):
    """A span of a type of its own for each rank; displacements are in bytes."""
    data, counts, displacements = given[0], None, None
    if len(given) == 2:
        types = given[1]
    elif len(given) == 3:
        (counts, displacements), types = given[1], given[2]
    elif len(given) == 4:
        data, counts, displacements, types = given
    else:
        raise ValueError(f"a buffer of {len(given)} parts; give [data, counts, displacements, types]")
    types = [of_name(one) if isinstance(one, str) else one for one in types]
    if len(types) != size:
        raise ValueError(f"{len(types)} types for {size} ranks")
    if data is BOTTOM and (counts is None or displacements is None):
        raise ValueError("MPI.BOTTOM has no length; give [MPI.BOTTOM, counts, displacements, types]")
    counts = _counts(1 if counts is None else counts, size)
    displacements = _displacements(0 if displacements is None else displacements, size)
    memory = BOTTOM if data is BOTTOM else numpy.empty(0, "u1") if data is None else _array(data, writes).view("u1")
    return [_span(memory, *block, writes) for block in zip(types, counts, displacements)]


def _are_apart(counts, displacements):
    """Refuses blocks to be received that share elements, of which one would be lost."""
    blocks = sorted((start, start + count) for start, count in zip(displacements, counts) if count)
    for (_, end), (start, _) in zip(blocks, blocks[1:]):
        if start < end:
            raise ValueError(f"two blocks to receive into have element {start}; give displacements that are apart")


def _counts(given, size):
    """A count for each rank; one number is that of all."""
    return _each([given] * size if numpy.ndim(given) == 0 else given, size, "count")


def _displacements(given, size):
    """A displacement for each rank; one number is the distance from each to the next."""
    return _each([given * rank for rank in range(size)] if numpy.ndim(given) == 0 else given, size, "displacement")


def _each(given, size, what):
    numbers = [_whole_number(one, what) for one in given]
    if len(numbers) != size:
        raise ValueError(f"{len(numbers)} {what}s for {size} ranks")
    return numbers


def joined(spans):
    """The elements of spans one after the other, and how many each has, as ranks exchange them."""
    arrays = [span.wire() for span in spans]
    return numpy.concatenate(arrays), [array.size for array in arrays]


def joined_bytes(spans):
    """The bytes of spans of several types one after the other, and how many each has."""
    arrays = [span.packed().view("u1") for span in spans]
    return numpy.concatenate(arrays), [array.size for array in arrays]
