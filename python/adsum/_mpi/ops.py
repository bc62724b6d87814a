"""How contributions become one."""

import functools
import hashlib
import operator

import numpy

from .buffers import simple
from .datatypes import RAW
from .errors import GroupError, Missing


class buffer(numpy.ndarray):
    """The bytes of elements, as functions of Op.Create have them."""

    def __new__(cls, array):
        return array.view("u1").view(cls)

    def __setitem__(self, index, value):
        if not isinstance(value, (int, numpy.integer)):
            # Elements of any type are taken as their bytes, all of them.
            value = numpy.frombuffer(value, "u1")
            if value.size != self[index].size:
                raise ValueError(f"{value.size} bytes put where there are {self[index].size}")
        super().__setitem__(index, value)


class Seal:
    """Says by which operation elements are folded: the library cannot know of others than its own."""

    def __init__(self, text, dtype):
        self._dtype = dtype
        self._bytes = numpy.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), "u1")
        self.size = self._bytes.size

    def closed(self, arrays):
        """The bytes of arrays, each with the seal behind it."""
        return numpy.concatenate([part for array in arrays for part in (array.view("u1"), self._bytes)])

    def opened(self, blocks):
        """The arrays of the ranks, which have given the same operation and type."""
        for rank, block in enumerate(blocks):
            if not numpy.array_equal(block[-self.size :], self._bytes):
                raise GroupError(f"rank {rank} folds by another operation, or other elements", "ERR_OP")
        return [block[: -self.size].copy().view(self._dtype) for block in blocks]


class Op(Missing):
    """How contributions become one.

    ``op(x, y)`` folds two objects as mpi4py does. Sums of floats over ranks are exact and
    rounded once, unless a program folds them two at a time by itself.
    """

    def __init__(self, op=None):
        op = OP_NULL if op is None else op
        self._set(op._name, op._two, op._library, op._many, op._arrays, op._commute)

    def _set(self, name, two, library=None, many=None, arrays=None, commute=True):
        self._name, self._two, self._library, self._commute = name, two, library, commute
        self._many, self._arrays = many, arrays

    @classmethod
    def _of(cls, *parts, **more):
        op = cls.__new__(cls)
        op._set(*parts, **more)
        return op

    def __repr__(self):
        return f"MPI.{self._name}"

    def __bool__(self):
        return self._two is not None

    def __eq__(self, other):
        return self._two is other._two if isinstance(other, Op) else NotImplemented

    def __hash__(self):
        return hash(self._two)

    def __call__(self, x, y):
        if self._two is None:
            raise ValueError("MPI.OP_NULL folds nothing")
        return self._two(x, y)

    def __reduce__(self):
        if not self.is_predefined:
            return Op.Create, (self._two.function, self._commute)
        predefined = PREDEFINED[self._name]
        return self._name if self is predefined else (Op, (predefined,))

    @classmethod
    def Create(cls, function, commute=False):
        """The operation of a function of two contributions, called in rank order from the left.

        Of buffers it is ``function(a, b, datatype)`` on two arrays of bytes and puts a with b
        into b; of objects ``function(a, b, None)`` returns what they give. All ranks give
        alike functions. Whether it commutes is said and not used.
        """
        if not callable(function):
            raise TypeError(f"a {type(function).__name__} is no function")

        def two(x, y):
            return function(x, y, None)

        def arrays(a, b, datatype):
            b = b.copy()
            function(buffer(a), buffer(b), datatype)
            return b

        two.function = function
        return cls._of("Op", two, arrays=arrays, commute=commute)

    def Free(self):
        """Nothing has to be given back."""

    def Is_commutative(self):
        """Whether the order of two contributions does not count."""
        return self._commute

    def Is_predefined(self):
        """Whether it is none of Op.Create."""
        return self._name != "Op"

    is_commutative, is_predefined = property(Is_commutative), property(Is_predefined)

    def Reduce_local(self, inbuf, inoutbuf):
        """Folds inbuf and inoutbuf, of one type and length, into inoutbuf, here."""
        given = simple(inbuf, False)
        into = simple(inoutbuf, True)
        into.is_like(given, "Reduce_local")
        into.put(self._folding(into.dtype, into.type)([given.packed(), into.packed()]))

    def _native(self, dtype, datatype=None):
        """The library's operator for elements of a type; None for what is folded here.

        Bytes that were not said to be numbers are not folded as if they were.
        """
        if self._library and datatype in RAW and self not in (BAND, BOR, BXOR):
            raise TypeError(f"{self!r} does not take {datatype!r}, bytes of no type; say what they are")
        # The sum of complex numbers is that of their parts; nothing else is.
        is_for_it = self == SUM if dtype.kind == "c" else dtype.type is not numpy.void
        return self._library if is_for_it else None

    def _folding(self, dtype, datatype):
        """The function that folds arrays of a type, in their order, into a new one."""
        native, fold = self._native(dtype, datatype), self._arrays
        if native:
            fold = _by_library(native)
        elif self._library and (fold is None or dtype.kind != "c"):
            raise TypeError(f"{self!r} does not take {dtype}")
        elif self in (MINLOC, MAXLOC) and dtype.names is None:
            raise TypeError(f"pairs of value and place are of MPI.DOUBLE_INT and its like, not {datatype!r}")
        elif fold is None:
            raise NotImplementedError(f"{self!r} of buffers")
        return functools.partial(functools.reduce, lambda a, b: fold(a, b, datatype))

    def _seal(self, dtype):
        """What is sent with elements that are folded here."""
        return Seal(f"{self._name} {dtype.descr}", dtype)

    def _fold_objects(self, values):
        """Folds the objects of all ranks, in rank order."""
        return self._many(values) if self._many else functools.reduce(self, values)


@functools.cache
def _alone():
    from .. import _adsum

    return _adsum.Group.solo()


def _by_library(name):
    def fold(a, b, _datatype):
        folded = b.copy()
        parts = a.dtype.char.lower() if a.dtype.kind == "c" else a.dtype
        _alone().reduce_local(a.view(parts), folded.view(parts), name)
        return folded

    return fold


def _package():
    import adsum

    return adsum


def _is_numeric(value):
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        return value.dtype.kind in "biuf"
    return isinstance(value, (bool, int, float))


def _numbers(name, two):
    """Folds numbers, or arrays of one shape, exactly; all other objects two at a time."""

    def fold(values):
        if not all(map(_is_numeric, values)) or all(isinstance(value, int) for value in values):
            return functools.reduce(two, values)
        if len({numpy.shape(value) for value in values}) > 1:
            raise TypeError("numbers and arrays of several shapes cannot be folded together")
        array = numpy.stack([numpy.asarray(value) for value in values])
        if array.dtype.kind == "O" or not all(_is_kept(value, one) for value, one in zip(values, array)):
            raise TypeError("ranks give floats and integers that no float64 is; give floats at all, or integers")
        folded = getattr(_package(), name)(array, axis=0)
        return folded.item() if all(type(value) in (int, float, bool) for value in values) else folded

    return fold


def _is_kept(value, as_float):
    """Whether integers are what they were, beside floats."""
    if as_float.dtype.kind != "f" or numpy.asarray(value).dtype.kind not in "iu":
        return True
    return all(int(a) == int(b) for a, b in zip(numpy.ravel(value), numpy.ravel(as_float)))


def _located(before):
    """Of pairs of value and place the first in order, with the lowest place of equal values."""

    def two(x, y):
        if x[0] != x[0] or y[0] != y[0]:
            # What is no number comes out, as from MIN and MAX.
            return x if y[0] == y[0] or (x[0] != x[0] and x[1] <= y[1]) else y
        if before(x[0], y[0]):
            return x
        if before(y[0], x[0]):
            return y
        return x if x[1] <= y[1] else y

    def arrays(a, b, _datatype):
        (value, place), (other, other_place) = ([pair[name] for name in pair.dtype.names] for pair in (a, b))
        is_lower, is_number = place <= other_place, other == other
        is_first = before(value, other) | ((value == other) & is_lower)
        is_first = numpy.where(value == value, is_number & is_first, is_number | is_lower)
        folded = b.copy()
        folded[is_first] = a[is_first]
        return folded

    return two, arrays


def _bits(two):
    def checked(x, y):
        if not all(isinstance(value, (int, numpy.integer, numpy.bool_, numpy.ndarray)) for value in (x, y)):
            raise TypeError("bitwise operations take integers")
        return two(x, y)

    return checked


def _make(name, two, many=None, arrays=None):
    return Op._of(name, two, name.lower(), many, arrays)


def _smaller(x, y):
    return y if y < x else x


def _larger(x, y):
    return y if y > x else x


OP_NULL = Op._of("OP_NULL", None)
SUM = _make("SUM", operator.add, _numbers("sum", operator.add))
PROD = _make("PROD", operator.mul, _numbers("prod", operator.mul), lambda a, b, _datatype: a * b)
MIN = _make("MIN", _smaller, _numbers("min", _smaller))
MAX = _make("MAX", _larger, _numbers("max", _larger))
LAND = _make("LAND", lambda x, y: bool(x) and bool(y), lambda values: all(map(bool, values)))
LOR = _make("LOR", lambda x, y: bool(x) or bool(y), lambda values: any(map(bool, values)))
LXOR = _make("LXOR", lambda x, y: bool(x) is not bool(y), lambda values: sum(map(bool, values)) % 2 == 1)
BAND = _make("BAND", _bits(operator.and_))
BOR = _make("BOR", _bits(operator.or_))
BXOR = _make("BXOR", _bits(operator.xor))
MINLOC, MAXLOC = (
    Op._of(name, two, arrays=arrays)
    for name, (two, arrays) in [("MINLOC", _located(operator.lt)), ("MAXLOC", _located(operator.gt))]
)
# Of objects; buffers have no use for them outside of what MPI calls windows.
REPLACE = Op._of("REPLACE", lambda _x, y: y, commute=False)
NO_OP = Op._of("NO_OP", lambda x, _y: x, commute=False)

PREDEFINED = {
    op._name: op
    for op in (OP_NULL, SUM, PROD, MIN, MAX, LAND, LOR, LXOR, BAND, BOR, BXOR, MINLOC, MAXLOC, REPLACE, NO_OP)
}
