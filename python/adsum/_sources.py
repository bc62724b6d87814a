"""What is reduced: an array, or files, and the processors that reduce it."""

import operator
import os

import numpy

from . import _adsum

_ndarray = numpy.ndarray
# DLPack's numbers of what the CPU can read: its own memory, and that of hosts for devices.
_IN_MEMORY = (1, 3, 11, 13)


def paths_of(x):
    """The paths that x is, or None if it is data."""
    if isinstance(x, (str, os.PathLike)):
        return [os.fspath(x)]
    if isinstance(x, (list, tuple)) and x and isinstance(x[0], (str, os.PathLike)):
        return [os.fspath(path) for path in x]
    return None


def array_of(x):
    if isinstance(x, _ndarray):
        if isinstance(x, numpy.ma.MaskedArray):
            raise TypeError("a masked array: reduce x.compressed(), or x.filled(...)")
        return x
    if hasattr(x, "__dlpack__") and not isinstance(x, numpy.generic):
        device, _ = x.__dlpack_device__()
        if device not in _IN_MEMORY:
            raise TypeError(f"a {type(x).__name__} on a device (DLPack's number {device}); copy it to the CPU first")
        return numpy.from_dlpack(x)
    return numpy.asarray(x)


def dtype_name(dtype):
    return None if dtype is None else numpy.dtype(dtype).name


def axes_of(axis):
    if axis is None:
        return None
    if isinstance(axis, int):
        return (axis,)
    return tuple(map(operator.index, axis if isinstance(axis, (list, tuple)) else [axis]))


def devices_of(device):
    if device is None:
        return []
    devices = [device] if isinstance(device, str) else device
    if not isinstance(devices, (list, tuple)) or [name for name in devices if not isinstance(name, str)]:
        raise TypeError(f"device={device!r}; give a name that `adsum devices` shows, or a list of them")
    return list(devices)


def source_of(x, device, progress):
    """Files, or an array; and whether they are files."""
    paths = paths_of(x)
    if paths is None:
        return array_of(x), False
    return _adsum.Files(paths, devices_of(device), progress), True


def goes_to_processors(device, progress, comm):
    """Whether an array goes to processors, and is not read where it lies. If that of one rank
    goes, those of all do, since the ranks exchange other things then."""
    goes = progress is not None or (device is not None and devices_of(device) != ["cpu"])
    if comm is None:
        return goes
    for name in ("rank", "size", "allgather"):
        if not hasattr(comm, name):
            raise TypeError(f"comm is {type(comm)}, which has no {name}; give a communicator, as adsum.MPI.COMM_WORLD")
    return True in comm.allgather(goes)


def all_of(x, device, progress, comm):
    """Files, an array, or an array that goes to processors."""
    source, are_files = source_of(x, device, progress)
    if not are_files and goes_to_processors(device, progress, comm):
        return held(source, device, progress)
    return source


def held(array, device, progress, axes=None):
    """An array that goes to processors: for these it is what files are. It is copied if its
    elements do not lie side by side, and along axes if they do not in C order."""
    is_whole = axes is None or len(axes) == array.ndim
    array = numpy.asarray(array, order="F" if is_whole and array.flags.fnc else "C")
    return _adsum.Files.of_array(array, devices_of(device) or ["cpu"], progress)


def side_by_side(array, axes):
    """The same with axes that lie side by side in C order, those axes, and what gives a
    result the axes that keepdims keeps, if that is not their order already."""
    array, count = numpy.asarray(array), array.ndim
    if axes is None or not set(axes) <= set(range(-count, count)):
        return array, axes, None
    places = sorted(axis % count for axis in axes)
    is_side_by_side = not places or places[-1] - places[0] < len(places)
    if is_side_by_side or len(set(places)) < len(places):
        return array, axes, None
    moved = numpy.moveaxis(array, places, range(count - len(places), count))
    return moved, tuple(range(count - len(places), count)), places
