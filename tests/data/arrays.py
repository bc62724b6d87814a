"""The arrays `op_*`: what `make.py` writes has too few of these.

Names end in the element type, `.bin` files are elements without a header.
"""

from pathlib import Path

import ml_dtypes
import numpy as np

HERE = Path(__file__).parent
BF16 = ml_dtypes.bfloat16
DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "bfloat16", "float32", "float64"]


def write_all():
    """Writes all arrays in place of those that are there."""
    for old in HERE.glob("op_*"):
        old.unlink()
    for name, array in all_arrays().items():
        write(name, array)


def write(name, array):
    """A `.npy` file, or the elements alone in a `.bin` file."""
    path = HERE / f"op_{name}"
    if path.suffix == ".bin":
        path.write_bytes(array.tobytes())
    else:
        with open(path, "wb") as file:
            np.lib.format.write_array(file, array, version=(1, 0))
    assert path.stat().st_size < 4096, path


def all_arrays():
    random = np.random.default_rng(20260103)
    return (
        sixteen_bits(random)
        | few_elements()
        | specials()
        | moments(random)
        | factors(random)
        | ties(random)
        | shapes(random)
        | distributions(random)
    )


def both_orders(array, code):
    """A 16-bit float in both byte orders, as raw files."""
    bits = array.view("u2")
    return {f"little_{code}.bin": bits.astype("<u2"), f"big_{code}.bin": bits.astype(">u2")}


def sixteen_bits(random):
    """Finite 16-bit floats over nearly the whole range."""
    bits = random.integers(0, 2**16, size=61, dtype="u2")
    half = (bits & 0x83FF | (bits >> 10 & 31) % 30 << 10).view("f2")
    bits = random.integers(0, 2**16, size=61, dtype="u2")
    brain = (bits & 0x807F | (bits >> 7 & 255) % 240 << 7).view(BF16)
    files = both_orders(half, "f2") | both_orders(brain, "bf2")
    return files | {"little_f2.npy": half.astype("<f2"), "big_f2.npy": half.astype(">f2")}


def few_elements():
    files = {}
    for dtype in DTYPES:
        if dtype == "bfloat16":
            files["empty_bfloat16.bin"] = np.zeros(0, "u2")
        else:
            files[f"empty_{dtype}.npy"] = np.zeros(0, dtype)
    files["one_f8.npy"] = np.array([-0.1])
    files["one_f4.npy"] = np.array([[[3.3]]], "<f4")
    files["one_i8.npy"] = np.array([-(2**63)])
    files["none_f8.npy"] = np.zeros((2, 0, 3))
    return files


def specials():
    """NaN of several payloads and signs, infinities and zeros."""
    mixed = [2.5, np.nan, -1.0, 0.0, np.nan, 4.0, -0.0, 4.0, -1.0]
    files = {
        "nan_f8.npy": np.array(mixed),
        "nan_f4.npy": np.array(mixed, ">f4"),
        "nan_f2.npy": np.array(mixed, "<f2"),
        "nan_bf2.bin": np.array(mixed, BF16).view("u2"),
        "all_nan_f8.npy": np.array([np.nan] * 3),
        "all_nan_f4.npy": np.array([np.nan] * 3, "<f4"),
        "all_nan_f2.npy": np.array([np.nan] * 3, "<f2"),
        "all_nan_bf2.bin": np.array([np.nan] * 3, BF16).view("u2"),
        "inf_f8.npy": np.array([1.0, np.inf, -2.0]),
        "inf_f2.npy": np.array([-np.inf, 1.0, 5.0, -np.inf], "<f2"),
        "inf_bf2.bin": np.array([np.inf, 0.0, -np.inf], BF16).view("u2"),
        "nan_inf_f8.npy": np.array([np.nan, np.inf, np.inf]),
        "nan_minus_inf_f4.npy": np.array([np.nan, -np.inf], "<f4"),
        "inf_nan_f4.npy": np.array([np.nan, np.inf, -1.0, np.inf], "<f4"),
        "zeros_f8.npy": np.array([0.0, -0.0, 0.0, -0.0]),
        "zeros_f4.npy": np.array([[-0.0, 0.0], [0.0, 0.0]], "<f4"),
        "zeros_f2.npy": np.array([-0.0, -0.0], "<f2"),
        "zeros_i4.npy": np.zeros((2, 3), "<i4"),
    }
    # Signalling, negative, and with a payload: the answer is the quiet one.
    payloads = [0x7FF0_0000_0000_0001, 0xFFF8_0000_0000_0123, 0x3FF0_0000_0000_0000]
    files["payload_f8.npy"] = np.array(payloads, "<u8").view("<f8")
    files["payload_f4.npy"] = np.array([0x3F80_0000, 0xFF80_0001, 0x7FC0_0007], "<u4").view("<f4")
    return files


def moments(random):
    """Where sums of squares, means and roots go wrong in floats."""
    tiny = np.finfo("f8").smallest_subnormal
    largest = np.finfo("f8").max
    normal = random.standard_normal(61) * 3 + 1
    limits = np.iinfo("i8")
    return {
        "normal_f8.npy": normal,
        "normal_f4.npy": normal.astype("<f4"),
        "normal_f2.npy": normal.astype("<f2"),
        "normal_bf2.bin": normal.astype(BF16).view("u2"),
        # Neighbours of 1e8 are 1.5e-8 apart.
        "offset_f8.npy": 1e8 + np.spacing(1e8) * random.integers(-2, 3, size=40),
        "offset_f4.npy": np.float32(2**24) + np.array([-2, 0, 2, 4, -1], "<f4"),
        "equal_f8.npy": np.full(7, 0.1),
        "equal_f4.npy": np.full((3, 3), 1e30, "<f4"),
        "huge_f8.npy": np.array([3e200, -4e200]),
        "largest_f8.npy": np.array([largest / 2, largest / 2, -largest / 2]),
        "limit_f8.npy": np.array([largest, largest, -largest, -largest, 1.0]),
        "limit_f4.npy": np.array([3.4028235e38] * 4, "<f4"),
        "limit_f2.npy": np.array([65504.0] * 5 + [-65504.0], "<f2"),
        "limit_bf2.bin": np.array([0x7F7F] * 3, "<u2"),
        "tiny_f8.npy": np.array([3 * tiny, -4 * tiny]),
        "tiny_f4.npy": np.array([3, 0x8000_0004, 12], "<u4").view("<f4"),
        "tiny_f2.npy": np.array([1, 0x8002, 2], "<u2").view("<f2"),
        "tiny_bf2.bin": np.array([1, 0x8002, 2], "<u2"),
        # Their sum of squares ties between two float64, or nearly does.
        "tie_squares.npy": np.array([2.0**27, 1.0, 1.0, 2.0**-30]),
        "squares_i8.npy": np.array([limits.min] * 3 + [limits.max]),
        "square_i8.npy": np.array([limits.min]),
        "squares_u8.npy": np.full(3, 2**64 - 1, "<u8"),
        "between_i8.npy": np.array([limits.max] * 2 + [limits.min] * 2 + [5]),
        "wide_i8.npy": np.array([[limits.max, 1], [1, 2], [limits.max, 3]]),
        "wide_u8.npy": np.array([2**64 - 1, 1], "<u8"),
        "squares_i1.npy": np.full(9, -128, "i1"),
    }


def factors(random):
    """Products that stay within range, and such that leave it on the way."""
    near_one = random.uniform(0.5, 2, 61) * random.choice([-1, 1], 61)
    return {
        "factors_f8.npy": near_one,
        "factors_f4.npy": near_one[:37].astype(">f4"),
        "factors_f2.npy": near_one[:13].astype("<f2"),
        "factors_bf2.bin": near_one[:7].astype(BF16).view("u2"),
        "factors_c.npy": near_one[:30].reshape(5, 6),
        "factors_fortran.npy": np.asfortranarray(near_one[:30].reshape(5, 6)),
        "factors_between.npy": np.array([1e300, 3e300, 1e-300, 7e-300, 0.3]),
        "factors_subnormal.npy": np.array([1e-160, 3e-155, 0.7]),
        "factors_underflow.npy": np.array([-1e-200, 1e-200]),
        "factors_overflow.npy": np.array([-1e200, 1e200]),
        "factors_zero.npy": np.array([2.0, -0.0, 1e300, 1e300]),
        "factors_inf.npy": np.array([2.0, -np.inf, -1e-300, -3.0]),
        "factors_inf_zero.npy": np.array([np.inf, 0.0]),
        "factors_nan.npy": np.array([0.3, np.nan, 0.7, 1.1, np.nan, -1.3]),
        "factors_i4.npy": np.array([3, -5, 7, -11, -13], ">i4"),
        "factors_i8.npy": np.array([2**40 + 1, -(2**30) - 7]),
        "factors_least_i8.npy": np.array([-(2**32), 2**31]),
        "factors_u1.npy": np.array([200, 100, 50, 3], "u1"),
        "factors_true.npy": np.ones(5, bool),
    }


def ties(random):
    """Few different values, in both memory orders."""
    few = random.integers(-2, 3, size=(3, 4, 5))
    hole = few[0].astype("f4")
    hole[2, 1] = hole[1, 3] = np.nan
    files = {}
    for order in "CF":
        name = {"C": "c", "F": "fortran"}[order]
        files[f"ties_i4_{name}.npy"] = np.asarray(few, "<i4", order=order)
        files[f"ties_f8_{name}.npy"] = np.asarray(few, ">f8", order=order)
        files[f"ties_u1_{name}.npy"] = np.asarray(few[1] & 1, "u1", order=order)
        files[f"ties_nan_{name}.npy"] = np.asarray(hole, "<f4", order=order)
    return files


def shapes(random):
    """Arrays of one to four axes, and parts of larger ones."""
    files = {}
    for shape in [(7,), (4, 5), (3, 1, 4), (2, 3, 1, 4)]:
        axes = len(shape)
        values = random.standard_normal(shape)
        for order in "CF"[: 1 + (axes > 1)]:
            name = {"C": "c", "F": "fortran"}[order]
            files[f"axes{axes}_f8_{name}.npy"] = np.asarray(values, order=order)
            files[f"axes{axes}_i2_{name}.npy"] = np.asarray(values * 9, ">i2", order=order)
    grid = random.standard_normal((4, 5))
    grid[1, 2] = grid[3, 2] = grid[0] = np.nan
    for order in "CF":
        name = {"C": "c", "F": "fortran"}[order]
        files[f"axes_nan_{name}.npy"] = np.asarray(grid, ">f4", order=order)
    files["axes_f2.npy"] = random.standard_normal((3, 4)).astype(">f2")
    files["axes_bf2.bin"] = random.standard_normal((3, 4)).astype(BF16).view("u2")
    files["axes_bool.npy"] = np.asfortranarray(random.random((3, 4)) < 0.4)
    files["axes_u8.npy"] = random.integers(0, 2**64, size=(3, 4), dtype="u8")
    for part, length in enumerate([2, 1, 3]):
        values = random.standard_normal((length, 3, 2))
        files[f"part_f8_{part}.npy"] = values.astype(">f8" if part == 1 else "<f8")
        files[f"part_fortran_f8_{part}.npy"] = np.asfortranarray(values)
        files[f"part_i4_{part}.npy"] = (values * 3).astype("<i4")
    files["part_i4_3.npy"] = np.zeros((0, 3, 2), "<i4")
    for part, length in enumerate([4, 3]):
        files[f"part_line_{part}.npy"] = random.integers(0, 3, size=length).astype("<f4")
    files["side_f8.npy"] = random.standard_normal((2, 3, 3))
    return files


def distributions(random):
    """Values on edges, equal values, infinities, for histograms and quantiles."""
    on_edges = np.array([0.0, -0.0, 1.0, 2.0, 2.0, 3.0, 1.5, -1.0, 2.9999999999999996, 0.1, 0.3])
    quarter = random.integers(-12, 13, size=41) / 4
    return {
        "edges_f8.npy": on_edges,
        "edges_f4.npy": on_edges.astype(">f4"),
        "edges_f2.npy": on_edges.astype("<f2"),
        "edges_bf2.bin": on_edges.astype(BF16).view("u2"),
        "edges_i4.npy": on_edges.astype("<i4"),
        "edges_u1.npy": np.array([0, 255, 128, 127, 3, 3], "u1"),
        "edges_far_i8.npy": np.array([-(2**60) - 1, 0, 2**60 + 1, 5]),
        "edges_wide_f8.npy": np.array([-1.7e308, 1.7e308]),
        "repeated_f8.npy": quarter,
        "repeated_f4.npy": quarter.reshape(1, 41).astype("<f4"),
        "repeated_f2.npy": quarter.astype(">f2"),
        "repeated_bf2.bin": quarter.astype(BF16).view("u2"),
        "uneven_f8.npy": random.standard_normal(38) * 10.0 ** random.integers(-5, 5, size=38),
        "uneven_f4.npy": (random.standard_normal(38) * 1e30).astype("<f4"),
        "uneven_i8.npy": random.integers(-(2**63), 2**63 - 1, size=12),
        "infinite_f8.npy": np.array([3.0, -np.inf, np.inf, 1.0, np.inf]),
        "infinite_f4.npy": np.array([np.inf, -np.inf], "<f4"),
        "signed_zeros_f8.npy": np.array([0.0, 1.0, -0.0, -1.0, 0.0]),
        "subnormal_f8.npy": np.array([-5e-324, 0.0, 5e-324, 1.5e-323]),
    }
