"""What NumPy is asked, on which data, and how far its answers may be off."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

import numpy as np

import exact

BLOCK_BYTES = 16 << 20
# Runs of either side in one visit.
RUNS = 3


@dataclass(frozen=True)
class Case:
    """A call of a peer, and the operation of adsum beside it."""

    tool: str
    what: str
    dtype: str
    dist: str
    call: Callable


CALLS = {
    "sum": lambda x, y: np.sum(x),
    "min": lambda x, y: np.min(x),
    "argmin": lambda x, y: np.argmin(x),
    "mean": lambda x, y: np.mean(x),
    "var": lambda x, y: np.var(x),
    "std": lambda x, y: np.std(x),
    "dot": lambda x, y: np.dot(x, y),
}
FLOATS, INTEGERS = ("float32", "float64"), ("int32", "int64")
GROUPS = [(d, "uniform") for d in FLOATS + INTEGERS] + [(d, "wide") for d in FLOATS]


def cases(dtype: str, dist: str) -> list[Case]:
    """The cases that share arrays."""
    whats = ["sum", "min", "argmin"]
    if dtype in FLOATS:
        # NumPy's speed does not depend on the exponents, adsum's sum may.
        whats = ["sum"] if dist == "wide" else list(CALLS)
    found = [Case("NumPy", what, dtype, dist, CALLS[what]) for what in whats]
    if (dtype, dist) == ("float64", "uniform"):
        # A list, made before, since it is what `fsum` is fastest with.
        found.append(Case("math.fsum", "sum", dtype, dist, lambda x, y: math.fsum(x)))
    return found


class Data:
    """Two arrays, each a block repeated, and the exact answers."""

    def __init__(self, dtype: str, dist: str, size_bytes: int):
        self.dtype, self.dist = dtype, dist
        length = max(1, min(size_bytes, BLOCK_BYTES) // np.dtype(dtype).itemsize)
        blocks = [block(dtype, dist, length, seed) for seed in (1, 2)]
        self.repeats = max(1, size_bytes // blocks[0].nbytes)
        self.first, self.second = (np.tile(part, self.repeats) for part in blocks)
        self.exact = exact.answers(*blocks, self.repeats)
        self.numbers = blocks[0].tolist() if dtype in FLOATS else []
        wide = [part.astype(np.float64) for part in blocks]
        with np.errstate(over="ignore"):
            self.sizes = {
                "sum": float(np.abs(wide[0]).sum()) * self.repeats,
                "var": float(np.square(wide[0]).mean()),
                "dot": float(np.abs(wide[0] * wide[1]).sum()) * self.repeats,
            }

    def arguments(self, case: Case):
        return (self.numbers, None) if case.tool == "math.fsum" else (self.first, self.second)

    def bytes_of(self, case: Case) -> int:
        if case.tool == "math.fsum":
            return len(self.numbers) * self.first.itemsize
        return self.first.nbytes * (2 if case.what == "dot" else 1)


def block(dtype: str, dist: str, length: int, seed: int) -> np.ndarray:
    """Floats from 0 to 1 or of all finite bits alike; integers of all values alike."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f" and dist == "uniform":
        return random.random(length, dtype)
    bits = np.dtype(f"i{kind.itemsize}")
    limits = np.iinfo(bits)
    made = random.integers(limits.min, limits.max, length, bits, endpoint=True).view(kind)
    if kind.kind == "f":
        made[~np.isfinite(made)] = 1
    return made


def answer(case: Case, data: Data) -> tuple[str, bool]:
    """The relative error of the peer's answer, and whether it may be so large."""
    with np.errstate(all="ignore"):
        got = case.call(*data.arguments(case))
    if case.tool == "math.fsum":
        # It is exact, too, and must find the float64 nearest to the sum of a block.
        want = data.exact["sum"] / data.repeats
        return error_text(got, want), got == exact.nearest(want)
    if case.what in ("min", "argmin"):
        return "0" if got == data.exact[case.what] else "other", got == data.exact[case.what]
    want = data.exact["var" if case.what == "std" else case.what]
    if data.first.dtype.kind == "i" and case.what == "sum":
        fits = -(1 << 63) <= want < 1 << 63
        return "0" if fits else "wraps", (int(got) - want) % (1 << 64) == 0
    if not math.isfinite(got):
        # Sums of the largest floats overflow on the way.
        return str(float(got)), data.dist == "wide"
    # A deviation is compared by its square, whose relative error is twice as large.
    value = Fraction(float(got)) ** 2 if case.what == "std" else Fraction(float(got))
    is_near = abs(value - want) <= Fraction(tolerance(case, data))
    return error_text(value, want, 2 if case.what == "std" else 1), is_near


def error_text(value, want, parts: int = 1) -> str:
    error = abs(Fraction(value) - want) / abs(want) / parts if want else Fraction(value)
    return f"{float(error):.0e}" if error else "0"


def tolerance(case: Case, data: Data) -> float:
    """How far NumPy may be off by its way of adding.

    Pairwise sums round about log2(n) times on the way of an element, and some
    times in the runs at the bottom. BLAS adds along a few running sums, whose
    errors grow as sqrt(n) unless they all have one sign.
    """
    elements = len(data.first)
    kind = data.first.dtype if data.first.dtype.kind == "f" else np.dtype(np.float64)
    epsilon, rounds = float(np.finfo(kind).eps), 32 + math.log2(elements)
    if case.what == "dot":
        return 8 * math.sqrt(elements) * epsilon * data.sizes["dot"]
    if case.what in ("var", "std"):
        return 2 * rounds * epsilon * data.sizes["var"]
    return rounds * epsilon * data.sizes["sum"] / (elements if case.what == "mean" else 1)


def seconds(case: Case, data: Data) -> float:
    """The median of a few runs."""
    arguments, times = data.arguments(case), []
    with np.errstate(all="ignore"):
        for _ in range(RUNS):
            begin = time.perf_counter()
            case.call(*arguments)
            times.append(time.perf_counter() - begin)
    return median(times)
