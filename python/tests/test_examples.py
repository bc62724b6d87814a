"""The examples: a reader of partials without adsum, and Dask's tree of reductions."""

import importlib.util
import json
import pathlib
import struct
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import adsum

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
GOLDEN = json.loads((EXAMPLES.parents[1] / "tests/golden/partials.json").read_text())
STRUCT = {
    "bool": "?", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint64": "Q",
    "float16": "e", "float32": "f", "float64": "d",
}


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


read = example("read_partial").read


def elements_of(case, which="elements"):
    """The elements of a recorded case, as Python's numbers."""
    code = STRUCT.get(case["dtype"])
    numbers = []
    for bits in (int(text, 16) for text in case[which]):
        if code is None:
            # bfloat16 is the upper half of a float32.
            numbers.append(struct.unpack("<f", struct.pack("<I", bits << 16))[0])
        else:
            numbers.append(struct.unpack(f"<{code}", bits.to_bytes(struct.calcsize(code), "little"))[0])
    return numbers


def is_finite(number):
    return number - number == 0


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_a_reader_without_adsum_finds_what_is_in_recorded_partials(case):
    data = bytes.fromhex(case["bytes"])
    dtype, outputs = read(data)
    assert dtype == case["dtype"] and len(outputs) == case["outputs"]
    numbers, seconds = elements_of(case), elements_of(case, "seconds")
    for output, states in enumerate(outputs):
        mine = numbers[output :: case["outputs"]]
        finite = [Fraction(number) for number in mine if is_finite(number)]
        exact = {
            "sum of values": sum(finite),
            "sum of magnitudes": sum(map(abs, finite)),
            "sum of squares": sum(number**2 for number in finite),
            "sum of products": sum(a * Fraction(b) for a, b in zip(finite, seconds)),
        }
        for state, name in zip(states, case["states"], strict=True):
            assert name.startswith(state["kind"])
            nan = sum(number != number for number in mine)
            assert state.get("elements", len(mine)) == len(mine) and state.get("nan", nan) == nan
            if "sum" in state:
                assert state["sum"] == exact[name]
            if state["kind"] == "tally":
                assert state["nonzero"] == sum(number != 0 for number in mine)
            if state["kind"] == "product":
                product = np.prod([int(number) for number in mine if number], dtype=object)
                assert (state["magnitude"], state["negative"], state["zeros"]) == (abs(product), product < 0, mine.count(0))
            if state["kind"] == "bits":
                fold = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
                assert all(state[name] == fold[name].reduce(mine) for name in fold)
            if state["kind"] == "bins":
                assert sum(state["counts"]) + state["below"] + state["above"] + nan == len(mine)
            if state["kind"] == "multiset":
                assert sum(count for _, count in state["steps"]) + nan == len(mine)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_recorded_partials_are_those_of_this_version(case):
    data = bytes.fromhex(case["bytes"])
    partial = adsum.Partial.from_bytes(data)
    assert partial.to_bytes() == data
    if case["int64"] is not None:
        assert partial.to_int64().tolist() == case["int64"]


def test_a_reader_without_adsum_reads_what_this_one_writes(tmp_path):
    x = np.random.default_rng(13).standard_normal(1000) * 1e200
    data = adsum.Partial.from_array(x, "var").to_bytes()
    ((total, squares),) = read(data)[1]
    assert total["sum"] == sum(map(Fraction, x.tolist())) and squares["sum"] == sum(Fraction(one) ** 2 for one in x.tolist())
    (tmp_path / "total.partial").write_bytes(data)
    command = [sys.executable, EXAMPLES / "read_partial.py", tmp_path / "total.partial"]
    assert "'elements': 1000" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for bad in [b"\x01" + data[1:], data + b"\0", data[:-1]]:
        with pytest.raises((ValueError, StopIteration, RuntimeError)):
            read(bad)


def test_examples_are_short():
    assert len((EXAMPLES / "read_partial.py").read_text().splitlines()) <= 60
    assert len((EXAMPLES / "dask_sum.py").read_text().splitlines()) <= 30


def test_dask_sums_exactly():
    import dask.array as da

    exact_sum = example("dask_sum").exact_sum
    x = np.random.default_rng(14).standard_normal((40, 30, 5)) * 10.0 ** np.arange(30)[:, None]
    for chunks in [(7, 11, 5), (40, 30, 5), (1, 30, 2)]:
        blocks = da.from_array(x, chunks=chunks)
        assert exact_sum(blocks).compute() == adsum.sum(x)
        for axis in [0, 1, (0, 2)]:
            assert np.array_equal(exact_sum(blocks, axis).compute(), adsum.sum(x, axis=axis))
    command = [sys.executable, EXAMPLES / "dask_sum.py"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert float(said[1]) == 1000
