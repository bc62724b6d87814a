"""Makes `op_*` and `ops.json`: command lines and what they must answer.

    python make_ops.py

Needs the arrays that `make.py` writes, NumPy 2.4 and ml_dtypes. Run twice, it
writes the same bytes twice. `oracle.py` answers, `exact.py` rounds; this file
says what is asked, and which command lines are refused.
"""

import json
from pathlib import Path

import arrays
import exact
import oracle

HERE = Path(__file__).parent

MOMENTS = ["sum", "mean", "var", "std", "l1", "l2", "linf", "sumsq"]
ORDERED = ["min", "max", "argmin", "argmax"]
COUNTED = ["count", "count_nonzero", "any", "all"]
BITWISE = ["and", "or", "xor"]
ALONG = MOMENTS + ORDERED + COUNTED + ["prod"]
ALL = ALONG + ["minmax", "median"]
METHODS = ["linear", "lower", "higher", "midpoint", "nearest"]


def main():
    exact.check()
    arrays.write_all()
    cases = Cases()
    every_type(cases)
    special_elements(cases)
    hard_moments(cases)
    products(cases)
    places(cases)
    axes(cases)
    joined(cases)
    dots(cases)
    histograms(cases)
    quantiles(cases)
    quantiles_along(cases)
    summaries(cases)
    refusals(cases)
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases.cases)
    (HERE / "ops.json").write_text(f"[\n{lines}\n]\n")
    cases.report()


class Cases:
    """The recorded command lines."""

    def __init__(self):
        self.cases = []
        self.seen = set()

    def ask(self, *args):
        """Records the answer, or that the input has none."""
        args = [str(arg) for arg in args]
        assert tuple(args) not in self.seen, args
        self.seen.add(tuple(args))
        try:
            case = {"args": args} | oracle.answer(*args)
        except oracle.Refused:
            case = {"args": args, "exit": 3}
        self.cases.append(case)

    def refuse(self, code, args, *words):
        """Records a refusal, with words that the message must have."""
        args = args.split()
        assert tuple(args) not in self.seen, args
        self.seen.add(tuple(args))
        case = {"args": args, "exit": code}
        self.cases.append(case | {"words": list(words)} if words else case)

    def report(self):
        ops = [case["args"][0] for case in self.cases]
        for op in sorted(set(ops)):
            print(f"{op:14} {ops.count(op):5}")
        refused = sum("exit" in case for case in self.cases)
        print(f"{len(ops)} cases, {refused} of them refusals")
        for what, count in sorted(oracle.differences.items()):
            print(f"NumPy: {what}: {count}")


def raw(name):
    """How a file is named, with its type where it does not say it."""
    types = {"bf2": "bfloat16", "bfloat16": "bfloat16", "f2": "float16"}
    if not name.endswith(".bin"):
        return [name]
    code = name.removesuffix(".bin").split("_")[-1]
    return ["--dtype", types[code], *(["--endian", "big"] if "big" in name else []), name]


def plain():
    """An array of every type and byte order."""
    integers = ["bool.npy"]
    for size in "1248":
        for kind in "iu":
            orders = ["little"] if size == "1" else ["little", "big"]
            integers += [f"{order}_{kind}{size}.npy" for order in orders]
    floats = [f"{order}_{code}.npy" for code in ("f4", "f8") for order in ("little", "big")]
    half = ["op_little_f2.npy", "op_big_f2.npy", "op_little_f2.bin", "op_big_f2.bin"]
    return integers, floats + half + ["op_little_bf2.bin", "op_big_bf2.bin"]


def every_type(cases):
    """Every operation on every type, of many elements and of none."""
    integers, floats = plain()
    for name in integers + floats:
        for op in ALL + (BITWISE if name in integers else []):
            cases.ask(op, *raw(name))
    for dtype in arrays.DTYPES:
        name = f"op_empty_{dtype}.{'bin' if dtype == 'bfloat16' else 'npy'}"
        for op in ALONG + ["minmax"] + ([] if "float" in dtype else BITWISE):
            cases.ask(op, *raw(name))
    for name in ["op_one_f8.npy", "op_one_f4.npy", "op_one_i8.npy"]:
        for op in ALL:
            cases.ask(op, name)


def special_elements(cases):
    """NaN, infinities and zeros, as they are and with NaN left out."""
    with_nan = ["op_nan_f8.npy", "op_nan_f4.npy", "op_nan_f2.npy", "op_nan_bf2.bin"]
    all_nan = [name.replace("op_nan", "op_all_nan") for name in with_nan]
    others = ["op_inf_nan_f4.npy", "op_payload_f8.npy", "op_payload_f4.npy"]
    for name in with_nan + all_nan + others:
        for op in ALL:
            cases.ask(op, *raw(name))
            cases.ask(op, "--skip-nan", *raw(name))
    infinite = ["op_inf_f8.npy", "op_inf_f2.npy", "op_inf_bf2.bin"]
    for name in infinite + ["infinite.npy", "infinite_both.npy"]:
        for op in ALL:
            cases.ask(op, *raw(name))
    for name in ["op_zeros_f8.npy", "op_zeros_f4.npy", "op_zeros_f2.npy", "op_zeros_i4.npy"]:
        for op in ALONG + ["minmax"]:
            cases.ask(op, *raw(name))
    for name in ["op_nan_inf_f8.npy", "op_nan_minus_inf_f4.npy"]:
        for op in ORDERED:
            cases.ask(op, "--skip-nan", name)
    # There is nothing to skip.
    for name in ["little_i4.npy", "bool.npy", "little_f8.npy", "op_empty_float32.npy"]:
        for op in ["sum", "mean", "std", "min", "argmax", "prod", "count", "all"]:
            cases.ask(op, "--skip-nan", name)


def hard_moments(cases):
    floats = ["normal_f8.npy", "normal_f4.npy", "normal_f2.npy", "normal_bf2.bin", "offset_f8.npy"]
    floats += ["offset_f4.npy", "equal_f8.npy", "equal_f4.npy", "huge_f8.npy", "largest_f8.npy"]
    floats += ["limit_f8.npy", "limit_f4.npy", "limit_f2.npy", "limit_bf2.bin", "tiny_f8.npy"]
    floats += ["tiny_f4.npy", "tiny_f2.npy", "tiny_bf2.bin", "tie_squares.npy"]
    integers = ["squares_i8.npy", "square_i8.npy", "squares_u8.npy", "between_i8.npy"]
    integers += ["wide_i8.npy", "wide_u8.npy", "squares_i1.npy"]
    for name in floats + integers:
        for op in MOMENTS:
            cases.ask(op, *raw(f"op_{name}"))
    for name in floats[:4] + ["squares_i8.npy"]:
        for op in ["var", "std"]:
            for ddof in [1, 2, -1]:
                cases.ask(op, "--ddof", ddof, *raw(f"op_{name}"))
    # As many elements as ddof, and fewer.
    for op in ["var", "std"]:
        for ddof in [1, 2]:
            for name in ["op_one_f8.npy", "op_one_i8.npy", "op_empty_float64.npy"]:
                cases.ask(op, "--ddof", ddof, name)
        cases.ask(op, "--ddof", 1, "--skip-nan", "op_nan_f8.npy")
        for ddof in [7, 8]:
            cases.ask(op, "--ddof", ddof, "--skip-nan", "op_nan_f4.npy")
        for ddof in [61, 62, 60]:
            cases.ask(op, "--ddof", ddof, "little_i4.npy")
    for out in ["float32", "float16", "bfloat16"]:
        names = ["little_f8.npy", "little_f4.npy", "little_i8.npy", "tie_f4.npy"]
        names += ["op_normal_f8.npy", "op_normal_f2.npy", "op_limit_f4.npy"]
        for name in names + ["op_empty_float32.npy"]:
            for op in ["sum", "mean", "var", "std"]:
                cases.ask(op, "--out-dtype", out, name)
    for op in MOMENTS:
        cases.ask(op, "--out-dtype", "float64", "op_wide_i8.npy")
        cases.ask(op, "--out-dtype", "float32", "op_normal_bf2.bin", "--dtype", "bfloat16")


def products(cases):
    for name in sorted(HERE.glob("op_factors_*")):
        cases.ask("prod", *raw(name.name))
    cases.ask("prod", "--skip-nan", "op_factors_nan.npy")
    for out in ["float32", "float16"]:
        for name in ["op_factors_f8.npy", "op_factors_f4.npy", "op_factors_subnormal.npy"]:
            cases.ask("prod", "--out-dtype", out, name)
    # Places go on from file to file.
    cases.ask("prod", "op_factors_c.npy", "op_factors_f8.npy", "op_factors_between.npy")
    cases.ask("prod", "op_factors_fortran.npy", "op_factors_c.npy")


def places(cases):
    for kind in ["i4", "f8", "u1", "nan"]:
        for order in ["c", "fortran"]:
            name = f"op_ties_{kind}_{order}.npy"
            for op in ORDERED:
                cases.ask(op, name)
                if kind == "nan":
                    cases.ask(op, "--skip-nan", name)
    for op in ORDERED:
        cases.ask(op, "order_c.npy")
        cases.ask(op, "order_fortran.npy")
        cases.ask(op, "op_ties_i4_fortran.npy", "op_ties_i4_c.npy")
        cases.ask(op, "op_axes3_f8_fortran.npy", "op_ties_f8_fortran.npy", "op_normal_f8.npy")
        cases.ask(op, "op_part_line_0.npy", "op_part_line_1.npy")


def axes(cases):
    """Along every axis, by both names, in both memory orders."""
    for order in ["c", "fortran"]:
        for count in [1, 2, 3, 4] if order == "c" else [2, 3, 4]:
            for axis in range(count):
                some = ["sum", "std", "min", "argmax", "prod", "l2", "all"]
                for op in ALONG if count < 4 else some:
                    cases.ask(op, "--axis", axis, f"op_axes{count}_f8_{order}.npy")
                for op in ["sum", "var", "max", "argmin", "prod", "count_nonzero", "xor", "and"]:
                    cases.ask(op, "--axis", axis - count, f"op_axes{count}_i2_{order}.npy")
                for op in ["sum", "mean", "argmin"]:
                    cases.ask(op, "--axis", axis, "--keepdims", f"op_axes{count}_f8_{order}.npy")
        for axis in [0, 1]:
            for op in ALONG:
                cases.ask(op, "--axis", axis, f"op_axes_nan_{order}.npy")
                cases.ask(op, "--axis", axis, "--skip-nan", f"op_axes_nan_{order}.npy")
            cases.ask("std", "--ddof", 1, "--axis", axis, f"op_axes2_f8_{order}.npy")
            cases.ask("var", "--ddof", 4, "--axis", axis, f"op_axes2_f8_{order}.npy")
            cases.ask("sum", "--out-dtype", "float32", "--axis", axis, f"op_axes2_f8_{order}.npy")
        for axis in [0, 1, 2]:
            for op in ORDERED:
                cases.ask(op, "--axis", axis, f"op_ties_f8_{order}.npy")
    for axis in [0, 1]:
        for op in ALONG:
            cases.ask(op, "--axis", axis, "op_axes_f2.npy")
            cases.ask(op, "--axis", axis, "--shape", "3,4", *raw("op_axes_bf2.bin"))
        for op in ALONG + BITWISE:
            cases.ask(op, "--axis", axis, "op_axes_bool.npy")
            cases.ask(op, "--axis", axis, "op_axes_u8.npy")
        cases.ask("sum", "--axis", axis, "op_wide_i8.npy")
        cases.ask("sum", "--axis", axis, "--keepdims", "op_equal_f4.npy")
    cases.ask("max", "--axis", 63, "axes_64.npy")
    cases.ask("sum", "--axis", 0, "op_one_f4.npy")
    # Along an axis of length zero, and beside one.
    for op in ALONG + BITWISE:
        name = "empty_axis.npy" if op in BITWISE else "op_none_f8.npy"
        for axis in [0, 1, 2]:
            cases.ask(op, "--axis", axis, name)
    cases.ask("sum", "--axis", 1, "--keepdims", "op_none_f8.npy")
    for op in ["sum", "prod", "mean", "count", "min"]:
        cases.ask(op, "--axis", 0, "op_empty_int32.npy")


def joined(cases):
    """Several files are one array along the first axis."""
    for kind in ["f8", "fortran_f8", "i4"]:
        parts = [f"op_part_{kind}_{part}.npy" for part in range(4 if kind == "i4" else 3)]
        for op in ALONG + ["minmax"]:
            cases.ask(op, *parts)
        for axis in [0, 1, 2, -3]:
            for op in ALONG if axis >= 0 else ["sum"]:
                cases.ask(op, "--axis", axis, *parts)
        for axis in [0, 1]:
            cases.ask("mean", "--axis", axis, "--keepdims", *parts[::-1])
    cases.ask("argmax", "--axis", 0, "op_part_f8_*.npy")
    for op in ["sum", "argmax", "prod"]:
        cases.ask(op, "--axis", 0, "op_part_line_0.npy", "op_part_line_1.npy")


def dots(cases):
    integers, floats = plain()
    for name in integers[1:] + floats:
        if not name.endswith(".bin"):
            cases.ask("dot", name, name.replace("big", "little"))
    for code in ["f2", "bf2"]:
        dtype = raw(f"op_little_{code}.bin")[:2]
        cases.ask("dot", *dtype, f"op_little_{code}.bin", f"op_big_{code}.bin")
    for name in ["nan_f8", "inf_f8", "zeros_f8", "huge_f8", "tiny_f8", "limit_f8", "limit_f4"]:
        cases.ask("dot", f"op_{name}.npy", f"op_{name}.npy")
    cases.ask("dot", "op_wide_i8.npy", "op_wide_i8.npy")
    cases.ask("dot", "--out-dtype", "float32", "op_wide_i8.npy", "op_wide_i8.npy")
    cases.ask("dot", "op_squares_i8.npy", "op_edges_far_i8.npy")
    cases.ask("dot", "op_huge_f8.npy", "op_tiny_f8.npy")
    cases.ask("dot", "op_inf_f8.npy", "op_payload_f8.npy")
    cases.ask("dot", "op_factors_overflow.npy", "infinite_both.npy")
    cases.ask("dot", "op_factors_inf_zero.npy", "infinite_both.npy")
    cases.ask("dot", "--skip-nan", "op_nan_f8.npy", "op_nan_f8.npy")
    cases.ask("dot", "--skip-nan", "op_all_nan_f8.npy", "op_inf_f8.npy")
    cases.ask("dot", "--out-dtype", "float32", "little_f4.npy", "big_f4.npy")
    cases.ask("dot", "op_empty_float64.npy", "op_empty_float64.npy")
    cases.ask("dot", "op_empty_int8.npy", "op_empty_int8.npy")
    cases.ask("dot", "order_fortran.npy", "op_ties_f8_fortran.npy")
    cases.ask("dot", "order_c.npy", "op_ties_f8_c.npy")
    # A glob is one data set; both sides may be cut at other places.
    cases.ask("dot", "op_part_f8_*.npy", "op_part_f8_*.npy")
    cases.ask("dot", "op_part_i4_*.npy", "op_part_i4_*.npy")


def histograms(cases):
    integers, floats = plain()
    for name in integers + floats:
        cases.ask("histogram", *raw(name))
    for dtype in ["bool", "int8", "uint64", "float16", "float32", "float64"]:
        cases.ask("histogram", "--bins", 3, f"op_empty_{dtype}.npy")
    edged = ["edges_f8.npy", "edges_f4.npy", "edges_f2.npy", "edges_i4.npy", "edges_u1.npy"]
    edged += ["repeated_f8.npy", "repeated_f4.npy", "repeated_f2.npy"]
    edged += ["normal_f8.npy", "normal_f4.npy", "normal_f2.npy"]
    for name in edged:
        for bins, limits in [(4, "-1,3"), (3, "0,0.3"), (2, "2,2")]:
            cases.ask("histogram", "--bins", bins, "--range", limits, f"op_{name}")
    # Of bfloat16 and a range, ml_dtypes makes edges of another type.
    for name in edged + ["edges_bf2.bin", "repeated_bf2.bin"]:
        for bins in [1, 3, 7, 40]:
            cases.ask("histogram", "--bins", bins, *raw(f"op_{name}"))
        for edges in ["-1,0,1,2,3", "-0.0,1,1,2", "1,2,2", "0.1,0.3,2.9999999999999996"]:
            cases.ask("histogram", "--edges", edges, *raw(f"op_{name}"))
    constant = ["op_zeros_f8.npy", "op_one_f8.npy", "op_equal_f8.npy"]
    for name in ["order_c.npy", "order_fortran.npy", *constant]:
        cases.ask("histogram", "--bins", 5, name)
    cases.ask("histogram", "op_part_f8_0.npy", "op_part_f8_1.npy", "op_part_f8_2.npy")
    cases.ask("histogram", "--edges", "3,3", "op_edges_f8.npy")
    cases.ask("histogram", "--bins", 3, "op_edges_far_i8.npy")
    # NaN belongs to no bin, and infinities to those that reach so far.
    for name in ["op_nan_f8.npy", "op_inf_nan_f4.npy", "op_inf_f2.npy", "op_infinite_f8.npy"]:
        cases.ask("histogram", name)
        cases.ask("histogram", "--bins", 3, "--range", "-1,4", name)
        cases.ask("histogram", "--edges", "-1,0,4", name)
        cases.ask("histogram", "--edges", "-inf,0,inf", name)
    # Edges that float64 cannot tell apart or reach.
    cases.ask("histogram", "op_edges_wide_f8.npy")
    cases.ask("histogram", "op_huge_f8.npy")
    cases.ask("histogram", "op_tiny_f8.npy")
    cases.ask("histogram", "op_equal_f4.npy")


def quantiles(cases):
    integers, floats = plain()
    # Of 61 elements, shares at which the methods without interpolation agree
    # with NumPy, and others for the linear one.
    shares = "0,0.25,0.5,0.75,1"
    for name in integers + floats:
        for method in METHODS:
            cases.ask("quantile", "-q", shares, "--method", method, *raw(name))
        cases.ask("quantile", "-q", "0.01,0.1,0.37,0.9", *raw(name))
    names = ["repeated_f8.npy", "repeated_f4.npy", "repeated_f2.npy", "repeated_bf2.bin"]
    names += ["uneven_f8.npy", "uneven_f4.npy", "uneven_i8.npy"]
    for name in names:
        for method in METHODS:
            shares = "0,0.3125,0.372,0.625,0.777,1"
            cases.ask("quantile", "-q", shares, "--method", method, *raw(f"op_{name}"))
        cases.ask("quantile", "-q", "0.1,0.3,0.7,0.99,1e-300", *raw(f"op_{name}"))
        cases.ask("median", *raw(f"op_{name}"))
        cases.ask("median", "--skip-nan", *raw(f"op_{name}"))
        cases.ask("quantile", "-q", "0.5", *raw(f"op_{name}"))
    special = ["infinite_f8.npy", "infinite_f4.npy", "signed_zeros_f8.npy", "subnormal_f8.npy"]
    for name in special:
        for method in METHODS:
            shares = "0,0.125,0.25,0.5,0.75,0.875,1"
            cases.ask("quantile", "-q", shares, "--method", method, f"op_{name}")
        cases.ask("median", f"op_{name}")
    with_nan = ["op_nan_f8.npy", "op_nan_f4.npy", "op_nan_f2.npy", "op_nan_bf2.bin"]
    for name in with_nan + ["op_all_nan_f8.npy"]:
        for method in METHODS:
            cases.ask("quantile", "-q", "0,0.5,1", "--method", method, *raw(name))
            cases.ask("quantile", "-q", "0,0.25,1", "--method", method, "--skip-nan", *raw(name))
    cases.ask("quantile", "-q", "0.5,0,1,0.5", "op_edges_f8.npy")
    cases.ask("quantile", "-q", "0.3", "--out-dtype", "float64", "op_uneven_f4.npy")
    cases.ask("quantile", "-q", "0.3", "--out-dtype", "float32", "op_uneven_f8.npy")
    cases.ask("quantile", "-q", "0.3", "order_fortran.npy")
    cases.ask("quantile", "-q", "0.3,0.9", "op_part_f8_0.npy", "op_part_fortran_f8_1.npy")


def quantiles_along(cases):
    for order in ["c", "fortran"]:
        for count in [2, 3, 4]:
            for axis in range(count):
                cases.ask("median", "--axis", axis, f"op_axes{count}_f8_{order}.npy")
                name = f"op_axes{count}_i2_{order}.npy"
                cases.ask("quantile", "-q", "0.3,1,0", "--axis", axis - count, name)
                cases.ask("median", "--axis", axis, "--keepdims", name)
        for axis in [0, 1]:
            name = f"op_axes_nan_{order}.npy"
            cases.ask("median", "--axis", axis, name)
            cases.ask("quantile", "-q", "0.5,0.25", "--skip-nan", "--axis", axis, name)
            for method in METHODS:
                name = f"op_axes2_f8_{order}.npy"
                cases.ask("quantile", "-q", "0.25,0.6", "--method", method, "--axis", axis, name)
    for axis in [0, 1]:
        for name in ["op_axes_f2.npy", "op_axes_bool.npy", "op_axes_u8.npy"]:
            cases.ask("median", "--axis", axis, name)
        cases.ask("median", "--axis", axis, "--shape", "3,4", *raw("op_axes_bf2.bin"))
    for axis in [0, 1, 2]:
        cases.ask("median", "--axis", axis, "op_none_f8.npy")
        cases.ask("median", "--axis", axis, *[f"op_part_f8_{part}.npy" for part in range(3)])
    cases.ask("median", "--axis", 0, "little_f8.npy")


def summaries(cases):
    integers, floats = plain()
    for name in integers + floats:
        cases.ask("stats", *raw(name))
    hard = ["normal_f8.npy", "normal_bf2.bin", "offset_f8.npy", "equal_f4.npy", "huge_f8.npy"]
    hard += ["limit_f4.npy", "tiny_f8.npy", "zeros_f8.npy", "wide_i8.npy", "wide_u8.npy"]
    hard += ["one_f8.npy", "one_i8.npy", "empty_float32.npy", "empty_float64.npy"]
    for name in hard + ["ties_f8_c.npy", "ties_f8_fortran.npy", "inf_f8.npy", "infinite_f8.npy"]:
        cases.ask("stats", *raw(f"op_{name}"))
    with_nan = ["nan_f8.npy", "nan_f4.npy", "nan_f2.npy", "nan_bf2.bin", "inf_nan_f4.npy"]
    for name in with_nan + ["all_nan_f8.npy", "all_nan_f4.npy", "payload_f8.npy"]:
        cases.ask("stats", *raw(f"op_{name}"))
        cases.ask("stats", "--skip-nan", *raw(f"op_{name}"))
    cases.ask("stats", "op_part_f8_0.npy", "op_part_fortran_f8_1.npy", "op_part_f8_2.npy")


def refusals(cases):
    """Exit code 2 is for command lines that make no sense, 3 for the input."""
    refuse = cases.refuse
    refuse(2, "sum --axis 5 op_axes2_f8_c.npy", "5")
    refuse(2, "sum --axis 2 op_axes2_f8_c.npy", "2")
    refuse(2, "sum --axis -3 op_axes2_f8_c.npy", "-3")
    refuse(2, "sum --axis 0 axes_0.npy", "axes_0.npy")
    refuse(2, "sum --axis one op_axes2_f8_c.npy", "one")
    refuse(2, "sum --axis 0 --axis 1 op_axes2_f8_c.npy", "--axis")
    refuse(2, "sum --keepdims op_axes2_f8_c.npy", "--axis")
    refuse(3, "sum --axis 1 op_part_f8_0.npy op_side_f8.npy", "op_side_f8.npy")
    refuse(3, "sum --axis 0 op_part_f8_0.npy op_side_f8.npy", "op_side_f8.npy")
    refuse(3, "sum --axis 0 op_part_f8_0.npy op_axes2_f8_c.npy", "op_axes2_f8_c.npy")
    refuse(3, "sum --axis 0 op_part_f8_0.npy op_part_i4_0.npy", "int32", "float64")
    refuse(2, "sum --ddof 1 little_f8.npy", "--ddof")
    refuse(2, "mean --ddof 1 little_f8.npy", "--ddof")
    refuse(2, "var --ddof 0.5 little_f8.npy", "0.5")
    refuse(2, "var little_f8.npy --ddof", "--ddof")
    refuse(2, "std", "FILE")
    for name in ["little_f4.npy", "little_f8.npy", "op_little_f2.npy"]:
        for op in BITWISE:
            refuse(2, f"{op} {name}", op, "float")
    refuse(2, "and --dtype bfloat16 op_little_bf2.bin", "and", "bfloat16")
    refuse(2, "min --out-dtype float64 little_f4.npy", "float64")
    refuse(2, "argmax --out-dtype float32 little_f4.npy", "float32")
    refuse(2, "count --out-dtype float32 little_f4.npy", "float32")
    refuse(2, "prod --out-dtype float64 little_i4.npy", "float64")
    refuse(2, "sum --out-dtype int32 little_i4.npy", "int32")
    refuse(2, "dot bool.npy bool.npy", "bool")
    refuse(2, "dot little_f8.npy", "dot")
    refuse(2, "dot little_f8.npy big_f8.npy order_c.npy", "3")
    refuse(3, "dot little_f8.npy order_c.npy", "order_c.npy")
    refuse(3, "dot little_f8.npy little_f4.npy", "float32", "float64")
    refuse(3, "dot little_i8.npy little_u8.npy", "int64", "uint64")
    refuse(3, "dot order_c.npy order_fortran.npy", "order_fortran.npy")
    refuse(3, "dot op_empty_float64.npy op_one_f8.npy")
    refuse(2, "quantile little_f8.npy", "-q")
    refuse(2, "quantile -q 1.5 little_f8.npy", "1.5")
    refuse(2, "quantile -q -0.1 little_f8.npy", "-0.1")
    refuse(2, "quantile -q nan little_f8.npy")
    refuse(2, "quantile -q inf little_f8.npy")
    refuse(2, "quantile -q 0.5,2 little_f8.npy", "2")
    refuse(2, "quantile -q half little_f8.npy", "half")
    refuse(2, "quantile -q 0.5 --method best little_f8.npy", "best")
    refuse(2, "histogram --bins 0 little_f8.npy", "0")
    refuse(2, "histogram --bins -1 little_f8.npy", "-1")
    refuse(2, "histogram --bins 1.5 little_f8.npy", "1.5")
    refuse(2, "histogram --edges 1,0 little_f8.npy")
    refuse(2, "histogram --edges 0,2,1 little_f8.npy")
    refuse(2, "histogram --edges 0,nan,1 little_f8.npy")
    refuse(2, "histogram --edges 0,nan little_f8.npy")
    refuse(2, "histogram --edges 1 little_f8.npy")
    refuse(2, "histogram --edges 0,one little_f8.npy", "one")
    refuse(2, "histogram --edges 0,1 --bins 3 little_f8.npy", "--bins")
    refuse(2, "histogram --edges 0,1 --range 0,1 little_f8.npy", "--range")
    refuse(2, "histogram --range 1,0 little_f8.npy", "1", "0")
    refuse(2, "histogram --range 0,nan little_f8.npy")
    refuse(2, "histogram --range -inf,0 little_f8.npy", "inf")
    refuse(2, "histogram --range 0 little_f8.npy")
    refuse(2, "histogram --range 0,1,2 little_f8.npy")
    refuse(2, "histogram --axis 0 little_f8.npy", "--axis")
    refuse(3, "histogram nan.npy", "nan.npy")
    refuse(3, "histogram infinite.npy", "infinite.npy")


if __name__ == "__main__":
    main()
