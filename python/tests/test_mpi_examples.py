"""The examples for groups, run as they tell it."""

import math
import pathlib

import numpy as np

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


def test_the_program_of_mpi4py_with_its_import_changed(ranks, tmp_path):
    done = ranks(4, EXAMPLES / "mpi_sum.py")
    assert done.returncode == 0, done.stderr
    data = np.load(tmp_path / "data.npy")
    assert f"total {4 * data.sum():.6f}" in done.stdout, "every rank adds all of it: the third fault"


def test_the_form_without_its_faults(ranks, tmp_path):
    for count in [1, 3, 4]:
        done = ranks(count, EXAMPLES / "each_once.py")
        assert done.returncode == 0, done.stderr
        assert f"total {math.fsum(np.load(tmp_path / 'data.npy'))!r}\n" == done.stdout
