from collections.abc import Sequence
from os import PathLike
from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from ._functions import Stats, _Bins, _Counts, _Files, _Progress, _Range

_Names = str | Sequence[str]

class Cluster:
    def __init__(self, hosts: str | Sequence[str], *, token: str | PathLike[str] | None = None) -> None: ...
    def __enter__(self) -> Cluster: ...
    def __exit__(self, *exception: object) -> None: ...
    def close(self) -> None: ...
    def vdot(
        self, a: _Names, b: _Names, dtype: DTypeLike | None = None, *, allow_partial: bool = False, each_node: bool =
        False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def put(self, files: _Files, *, replicas: int = 1, prefix: str | None = None) -> dict[str, Any]: ...
    def ls(self, *globs: str) -> list[dict[str, Any]]: ...
    def rm(self, *names: str) -> list[dict[str, Any]]: ...
    def status(self) -> list[dict[str, Any]]: ...
    def sum(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def mean(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def var(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def std(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def min(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def max(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def argmin(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def argmax(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def prod(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def any(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def all(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def count_nonzero(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def l1(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def l2(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def linf(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def sumsq(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def nansum(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def nanmean(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def nanprod(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def nanvar(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def nanstd(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def nanmin(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def nanmax(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def nanargmin(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def nanargmax(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def bitwise_and(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def bitwise_or(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def bitwise_xor(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Any: ...
    def minmax(
        self, data: _Names, dtype: DTypeLike | None = None, *, ddof: int = 0, allow_partial: bool = False, each_node:
        bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> tuple[Any, Any]: ...
    def histogram(
        self, data: _Names, bins: _Bins = 10, range: _Range = None, *, skip_nan: bool = False, allow_partial: bool =
        False, each_node: bool = False, verify: bool = False, deadline: float | None = None, progress: _Progress =
        None
    ) -> _Counts: ...
    def stats(
        self, data: _Names, *, skip_nan: bool = False, allow_partial: bool = False, each_node: bool = False, verify:
        bool = False, deadline: float | None = None, progress: _Progress = None
    ) -> Stats: ...
    def quantile(
        self, data: _Names, q: ArrayLike, *, method: str = "linear", dtype: DTypeLike | None = None, skip_nan: bool =
        False, allow_partial: bool = False, each_node: bool = False, verify: bool = False, deadline: float | None =
        None, progress: _Progress = None
    ) -> Any: ...
    def percentile(
        self, data: _Names, q: ArrayLike, *, method: str = "linear", dtype: DTypeLike | None = None, skip_nan: bool =
        False, allow_partial: bool = False, each_node: bool = False, verify: bool = False, deadline: float | None =
        None, progress: _Progress = None
    ) -> Any: ...
    def median(
        self, data: _Names, *, method: str = "linear", dtype: DTypeLike | None = None, skip_nan: bool = False,
        allow_partial: bool = False, each_node: bool = False, verify: bool = False, deadline: float | None = None,
        progress: _Progress = None
    ) -> Any: ...
