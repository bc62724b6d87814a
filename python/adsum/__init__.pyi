from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import MPI as MPI
from ._cluster import Cluster as Cluster
from ._errors import (
    AdsumError as AdsumError,
    ClusterError as ClusterError,
    DataError as DataError,
    DeadlineError as DeadlineError,
    IdentityError as IdentityError,
    IncompleteError as IncompleteError,
    UnreachableError as UnreachableError,
    PartialResultWarning as PartialResultWarning,
)
from ._functions import (
    Stats as Stats,
    all as all,
    any as any,
    argmax as argmax,
    argmin as argmin,
    bitwise_and as bitwise_and,
    bitwise_or as bitwise_or,
    bitwise_xor as bitwise_xor,
    count_nonzero as count_nonzero,
    histogram as histogram,
    l1 as l1,
    l2 as l2,
    linf as linf,
    max as max,
    mean as mean,
    median as median,
    min as min,
    minmax as minmax,
    nanargmax as nanargmax,
    nanargmin as nanargmin,
    nanmax as nanmax,
    nanmean as nanmean,
    nanmedian as nanmedian,
    nanmin as nanmin,
    nanpercentile as nanpercentile,
    nanprod as nanprod,
    nanquantile as nanquantile,
    nanstd as nanstd,
    nansum as nansum,
    nanvar as nanvar,
    percentile as percentile,
    prod as prod,
    quantile as quantile,
    stats as stats,
    std as std,
    sum as sum,
    sumsq as sumsq,
    var as var,
    vdot as vdot,
)

__version__: str

class GroupError(AdsumError, RuntimeError):
    error_class: int
    error_code: int
    error_string: str
    def Get_error_class(self) -> int: ...
    def Get_error_code(self) -> int: ...
    def Get_error_string(self) -> str: ...

class Partial:
    @classmethod
    def from_array(cls, array: ArrayLike, op: str = "sum", *, start: int = 0) -> Partial: ...
    @classmethod
    def from_bytes(cls, data: bytes, op: str | None = None) -> Partial: ...
    @classmethod
    def from_int64(
        cls, words: Sequence[int] | NDArray[np.int64], dtype: str = "float64", op: str = "sum"
    ) -> Partial: ...
    def to_bytes(self) -> bytes: ...
    def to_int64(self) -> NDArray[np.int64]: ...
    def finish(
        self, op: str | None = None, *, dtype: DTypeLike | None = None, ddof: int = 0, skip_nan: bool = False
    ) -> Any: ...
    @property
    def elements(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def op(self) -> str | None: ...
    def __add__(self, other: Partial | Literal[0]) -> Partial: ...
    def __radd__(self, other: Literal[0]) -> Partial: ...
    def __sub__(self, other: Partial) -> Partial: ...
    def __hash__(self) -> int: ...
