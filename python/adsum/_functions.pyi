from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, NamedTuple, Protocol, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

_Files = str | PathLike[str] | Sequence[str | PathLike[str]]
_Axis = SupportsIndex | tuple[SupportsIndex, ...] | None
_Device = str | Sequence[str] | None
_Progress = Callable[[int, int], object] | None
_Bins = SupportsIndex | ArrayLike
_Range = tuple[float, float] | None
_Counts = tuple[NDArray[np.int64], NDArray[Any]]

class _DLPack(Protocol):
    def __dlpack__(self, *arguments: Any, **keywords: Any) -> Any: ...

_Data = ArrayLike | _DLPack | _Files

class _Comm(Protocol):
    """What has rank, size and allgather: a communicator of adsum.MPI, or of mpi4py."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    def allgather(self, sendobj: Any) -> list[Any]: ...

class Stats(NamedTuple):
    elements: int
    nan: int
    min: float
    q25: float
    median: float
    q75: float
    max: float
    mean: float
    std: float
    sum: float
    l2: float

def sum(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, initial: float | None =
    None, where: ArrayLike = True, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def prod(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, initial: float | None =
    None, where: ArrayLike = True, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nansum(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, initial: float | None =
    None, where: ArrayLike = True, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nanprod(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, initial: float | None =
    None, where: ArrayLike = True, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def mean(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, where: ArrayLike = True,
    comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nanmean(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, where: ArrayLike = True,
    comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def var(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, ddof: int = 0, keepdims: bool = False, where:
    ArrayLike = True, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def std(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, ddof: int = 0, keepdims: bool = False, where:
    ArrayLike = True, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nanvar(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, ddof: int = 0, keepdims: bool = False, where:
    ArrayLike = True, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nanstd(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, ddof: int = 0, keepdims: bool = False, where:
    ArrayLike = True, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def l1(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, comm: _Comm | None =
    None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def l2(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, comm: _Comm | None =
    None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def linf(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, comm: _Comm | None =
    None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def sumsq(
    x: _Data, axis: _Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, comm: _Comm | None =
    None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def min(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, initial: float | None = None, where: ArrayLike = True,
    comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def max(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, initial: float | None = None, where: ArrayLike = True,
    comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nanmin(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, initial: float | None = None, where: ArrayLike = True,
    comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nanmax(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, initial: float | None = None, where: ArrayLike = True,
    comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def any(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, where: ArrayLike = True, comm: _Comm | None = None,
    device: _Device = None, progress: _Progress = None
) -> Any: ...
def all(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, where: ArrayLike = True, comm: _Comm | None = None,
    device: _Device = None, progress: _Progress = None
) -> Any: ...
def argmin(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> Any: ...
def argmax(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> Any: ...
def nanargmin(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> Any: ...
def nanargmax(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> Any: ...
def count_nonzero(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> Any: ...
def bitwise_and(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> Any: ...
def bitwise_or(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> Any: ...
def bitwise_xor(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> Any: ...
def minmax(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> tuple[Any, Any]: ...
def quantile(
    x: _Data, q: ArrayLike, axis: _Axis = None, *, method: str = "linear", keepdims: bool = False, dtype: DTypeLike |
    None = None, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def percentile(
    x: _Data, q: ArrayLike, axis: _Axis = None, *, method: str = "linear", keepdims: bool = False, dtype: DTypeLike |
    None = None, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nanquantile(
    x: _Data, q: ArrayLike, axis: _Axis = None, *, method: str = "linear", keepdims: bool = False, dtype: DTypeLike |
    None = None, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nanpercentile(
    x: _Data, q: ArrayLike, axis: _Axis = None, *, method: str = "linear", keepdims: bool = False, dtype: DTypeLike |
    None = None, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def median(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, dtype: DTypeLike | None = None, comm: _Comm | None =
    None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def nanmedian(
    x: _Data, axis: _Axis = None, *, keepdims: bool = False, dtype: DTypeLike | None = None, comm: _Comm | None =
    None, device: _Device = None, progress: _Progress = None
) -> Any: ...
def histogram(
    x: _Data, bins: _Bins = 10, range: _Range = None, *, skip_nan: bool = False, comm: _Comm | None = None, device:
    _Device = None, progress: _Progress = None
) -> _Counts: ...
def stats(
    x: _Data, *, skip_nan: bool = False, comm: _Comm | None = None, device: _Device = None, progress: _Progress = None
) -> Stats: ...
def vdot(
    a: _Data, b: _Data, dtype: DTypeLike | None = None, *, comm: _Comm | None = None, device: _Device = None,
    progress: _Progress = None
) -> Any: ...
