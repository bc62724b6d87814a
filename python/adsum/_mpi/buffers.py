"""The memory that a call is given: arrays, counts, displacements and types.

What programs write is ``data``, ``[data, type]``, ``[data, count]``, ``[data, count, type]``
or ``[data, (count, displacement), type]``, for blocks of many lengths ``[data, counts]``,
``[data, (counts, displacements)]``, ``[data, counts, displacements, type]`` and with a type
behind. One number for counts is that of all blocks, for displacements the distance from each
to the next. Data is a NumPy array, or what exports its memory: bytes, bytearray, memoryview,
array.array, CPU tensors by DLPack. Counts and displacements are in elements of the type.
"""

import numpy

from .datatypes import RAW, Datatype, of_dtype, of_name
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
    """Some elements of a flat array: a range of it, or those at places.

    ``type`` is what they were given as, ``dtype`` NumPy's type of them.
    """

    def __init__(self, array, datatype, places=None):
        self.array, self.type, self.places = array, datatype, places
        self.dtype, self.size = array.dtype, array.size if places is None else places.size

    @property
    def is_plain(self):
        """Whether they lie in memory as arrays do."""
        return self.places is None and self.array.flags.aligned

    def packed(self):
        """They alone, one after the other: the memory itself where they lie so."""
        if self.places is not None:
            return self.array[self.places]
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
        values = values.view(self.dtype)
        if self.places is None:
            self.array[:] = values
        else:
            self.array[self.places] = values

    def part(self, start, count):
        """So many of the elements, from the start-th on."""
        if self.places is None:
            return Span(self.array[start : start + count], self.type)
        return Span(self.array, self.type, self.places[start : start + count])

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


def _array(data, writes):
    """The flat array of the memory that data has."""
    if isinstance(data, numpy.ma.MaskedArray):
        raise TypeError("a masked array, whose mask would be lost; give x.filled(...)")
    if isinstance(data, numpy.ndarray):
        array = numpy.asarray(data)
    elif data is BOTTOM:
        raise NotImplementedError("MPI.BOTTOM as a buffer: give the array itself")
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
            if writes or array.dtype.kind == "O":
                raise TypeError(f"a {type(data).__name__} is no array, and has no memory like one") from None
    if not array.flags.c_contiguous or not array.flags.aligned or not array.dtype.isnative:
        raise ValueError("a buffer must be contiguous, aligned and in native byte order; use numpy.ascontiguousarray")
    if writes and not array.flags.writeable:
        raise ValueError("the array to receive into is read-only")
    return array.reshape(-1)


def _typed(array, datatype):
    """An array as elements of a type."""
    wanted = datatype._dtype
    if wanted is None:
        raise ValueError("MPI.DATATYPE_NULL is no type of elements; adsum has no long double")
    if array.dtype == wanted:
        return array
    is_bytes = array.dtype.type in (numpy.uint8, numpy.void, numpy.bytes_)
    if datatype not in RAW and not is_bytes:
        raise ValueError(f"an array of {array.dtype} given as {datatype!r}")
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


def _span(array, datatype, count, displacement, writes, step=None):
    """So many of a type, the first at a displacement in its extent, or in bytes of a step."""
    extent, item = datatype._extent, array.dtype.itemsize
    if writes and not datatype._is_apart:
        raise ValueError(f"{datatype!r} has elements twice, of which one would be lost; it is for sending alone")
    if step is not None and displacement % item:
        raise ValueError(f"a displacement of {displacement} bytes is no whole number of {datatype!r}")
    start = displacement * extent if step is None else displacement // item
    if datatype.is_predefined:
        places, first, last = None, start, start + count - 1
    else:
        places = datatype._places(count) + start
        first, last = (places.min(), places.max()) if places.size else (0, -1)
    if first <= last and not 0 <= first <= last < array.size:
        raise ValueError(
            f"{count} of {datatype!r} from {displacement} on reach elements {first} to {last} "
            f"of an array of {array.size}"
        )
    return Span(array[start : start + count] if places is None else array, datatype, places)


def simple(given, writes, blocks=1):
    """One span, in so many blocks of equal length, to each of which the count belongs."""
    data, count, displacement, datatype = _parsed(given)
    array, datatype = _resolved(data, datatype, writes)
    displacement = 0 if displacement is None else _whole_number(displacement, "displacement")
    if count is None:
        count = max(array.size - displacement * datatype._extent, 0) // max(datatype._extent, 1)
        if count % blocks:
            raise ValueError(f"{count} of {datatype!r} are no whole blocks for {blocks} ranks")
    else:
        count = _whole_number(count, "count") * blocks
    return _span(array, datatype, count, displacement, writes)


def vector(given, writes, size):
    """A span for each rank."""
    data, counts, displacements, datatype = _parsed(given)
    array, datatype = _resolved(data, datatype, writes)
    if counts is None:
        whole, rest = divmod(array.size // max(datatype._extent, 1), size)
        if rest:
            raise ValueError(f"{array.size} elements are no whole blocks for {size} ranks; give counts")
        counts = whole
    counts = _counts(counts, size)
    if displacements is None:
        displacements = [sum(counts[:rank]) for rank in range(size)]
    displacements = _displacements(displacements, size)
    if writes and datatype.is_predefined:
        _are_apart(counts, displacements)
    return [_span(array, datatype, *both, writes) for both in zip(counts, displacements)]


def blocks_of_types(given, writes, size):
    """A span of a type of its own for each rank; displacements are in bytes."""
    data, counts, displacements = given[0], None, None
    if len(given) == 2:
        types = given[1]
    elif len(given) == 3:
        (counts, displacements), types = given[1], given[2]
    else:
        data, counts, displacements, types = given
    types = [of_name(one) if isinstance(one, str) else one for one in types]
    if len(types) != size:
        raise ValueError(f"{len(types)} types for {size} ranks")
    counts = _counts(1 if counts is None else counts, size)
    displacements = _displacements(0 if displacements is None else displacements, size)
    memory = _array(data, writes).view("u1") if data is not None else numpy.empty(0, "u1")
    spans = []
    for count, displacement, datatype in zip(counts, displacements, types):
        whole = memory[: memory.size // datatype._dtype.itemsize * datatype._dtype.itemsize]
        spans.append(_span(whole.view(datatype._dtype), datatype, count, displacement, writes, step=1))
    return spans


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
