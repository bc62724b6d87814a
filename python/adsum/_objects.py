"""Numbers, text, arrays and plain containers of them as bytes, without pickle where none is asked for."""

import os
import pickle as _pickle
import struct

import numpy

from . import _adsum

_DEPTH_MAX = 100


class Pickle:
    """Whether objects that are not plain travel by pickle: ``enabled``, at all ranks.

    It is at first what ADSUM_PICKLE=1 in the environment says.
    """

    def __init__(self):
        self.enabled = os.environ.get("ADSUM_PICKLE") == "1"

    def dumps(self, value):
        """The bytes of pickle."""
        return _pickle.dumps(value)

    def loads(self, data):
        """The object of bytes of pickle, where that is enabled."""
        if not self.enabled:
            raise ValueError("an object came by pickle, for which this rank did not ask; set MPI.pickle.enabled")
        return _pickle.loads(data)


pickle = Pickle()


def dumps(value):
    """The bytes of a value; TypeError for one that is not plain."""
    parts = []
    _put(value, parts, 0)
    return b"".join(parts)


def _put(value, parts, depth):
    if depth > _DEPTH_MAX:
        raise ValueError(f"containers within more than {_DEPTH_MAX} others")
    kind = type(value)
    if value is None or kind is bool:
        parts.append({None: b"N", False: b"f", True: b"t"}[value])
    elif kind is int:
        _sized(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True), parts)
    elif kind is float:
        parts.append(b"d" + struct.pack("<d", value))
    elif kind is complex:
        parts.append(b"c" + struct.pack("<dd", value.real, value.imag))
    elif kind is str:
        _sized(b"s", value.encode("utf-8", "surrogatepass"), parts)
    elif kind in (bytes, bytearray):
        _sized(b"b" if kind is bytes else b"B", bytes(value), parts)
    elif kind in (list, tuple, set, frozenset):
        parts.append({list: b"l", tuple: b"u", set: b"e", frozenset: b"z"}[kind] + struct.pack("<Q", len(value)))
        for one in value:
            _put(one, parts, depth + 1)
    elif kind is dict:
        parts.append(b"m" + struct.pack("<Q", len(value)))
        for key, one in value.items():
            _put(key, parts, depth + 1)
            _put(one, parts, depth + 1)
    elif (kind is numpy.ndarray or isinstance(value, numpy.generic)) and value.dtype.kind in "biufcMmSU":
        array = numpy.ascontiguousarray(value)
        header = (kind is numpy.ndarray, value.dtype.str, value.shape)
        parts.append(b"a")
        _put(header, parts, depth + 1)
        _sized(b"b", array.tobytes(), parts)
    elif kind is _adsum.Partial:
        parts.append(b"P")
        _put((value.to_bytes(), value.op), parts, depth + 1)
    elif pickle.enabled:
        _sized(b"p", pickle.dumps(value), parts)
    else:
        raise TypeError(
            f"{_named(value)} cannot be sent; send numbers, text, bytes, NumPy arrays and plain "
            "containers of them, or set MPI.pickle.enabled at all ranks"
        )


def _named(value):
    of = f" of {value.dtype}" if isinstance(value, numpy.ndarray) else ""
    return f"a {type(value).__name__}{of}"


def _sized(tag, data, parts):
    parts += [tag, struct.pack("<Q", len(data)), data]


def loads(data):
    """The value of bytes of dumps; ValueError for other bytes."""
    value, rest = _take(memoryview(data), 0)
    if len(rest):
        raise ValueError(f"{len(rest)} bytes after the end of a value")
    return value


def _cut(data, count):
    if len(data) < count:
        raise ValueError("a value that ends too early")
    return data[:count], data[count:]


def _take(data, depth):
    if depth > _DEPTH_MAX:
        raise ValueError(f"containers within more than {_DEPTH_MAX} others")
    tag, data = _cut(data, 1)
    tag = bytes(tag)
    if tag in (b"N", b"f", b"t"):
        return {b"N": None, b"f": False, b"t": True}[tag], data
    if tag == b"d":
        number, data = _cut(data, 8)
        return struct.unpack("<d", number)[0], data
    if tag == b"c":
        number, data = _cut(data, 16)
        return complex(*struct.unpack("<dd", number)), data
    if tag == b"a":
        (is_array, dtype, shape), data = _take(data, depth + 1)
        content, data = _take(data, depth + 1)
        array = numpy.frombuffer(content, numpy.dtype(dtype)).reshape(shape)
        return (array.copy() if is_array else array[()]), data
    if tag == b"P":
        (state, op), data = _take(data, depth + 1)
        return _adsum.Partial.from_bytes(state, op), data
    count, data = _cut(data, 8)
    count = struct.unpack("<Q", count)[0]
    if tag in (b"i", b"s", b"b", b"B", b"p"):
        content, data = _cut(data, count)
        make = {
            b"i": lambda text: int.from_bytes(text, "little", signed=True),
            b"s": lambda text: bytes(text).decode("utf-8", "surrogatepass"),
            b"b": bytes,
            b"B": bytearray,
            b"p": pickle.loads,
        }
        return make[tag](content), data
    if tag not in (b"l", b"u", b"e", b"z", b"m") or count > len(data):
        raise ValueError("bytes that are no value")
    values = []
    for _ in range(2 * count if tag == b"m" else count):
        value, data = _take(data, depth + 1)
        values.append(value)
    if tag == b"m":
        return dict(zip(values[::2], values[1::2])), data
    return {b"l": list, b"u": tuple, b"e": set, b"z": frozenset}[tag](values), data
