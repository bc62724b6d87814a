"""Numbers, text, arrays and plain containers of them as bytes, without pickle."""

import struct

import numpy

_DEPTH_MAX = 100


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
    elif kind is numpy.ndarray or isinstance(value, numpy.generic):
        if value.dtype.kind not in "biufcMmSU":
            raise TypeError(f"an array of {value.dtype} cannot be sent; send plain arrays, or bytes of pickle.dumps")
        array = numpy.ascontiguousarray(value)
        header = (kind is numpy.ndarray, value.dtype.str, value.shape)
        parts.append(b"a")
        _put(header, parts, depth + 1)
        _sized(b"b", array.tobytes(), parts)
    else:
        raise TypeError(
            f"a {kind.__name__} cannot be sent; send numbers, text, bytes, NumPy arrays and plain "
            "containers of them, or bytes of pickle.dumps"
        )


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
    count, data = _cut(data, 8)
    count = struct.unpack("<Q", count)[0]
    if tag in (b"i", b"s", b"b", b"B"):
        content, data = _cut(data, count)
        make = {
            b"i": lambda text: int.from_bytes(text, "little", signed=True),
            b"s": lambda text: bytes(text).decode("utf-8", "surrogatepass"),
            b"b": bytes,
            b"B": bytearray,
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
