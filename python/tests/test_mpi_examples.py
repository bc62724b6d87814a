"""The examples for groups, run as they tell it."""

import importlib.util
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


def test_the_program_of_mpi4py_with_its_import_changed(ranks, tmp_path):
    done = ranks(4, EXAMPLES / "mpi_sum.py")
    assert done.returncode == 0, done.stderr
    data = np.load(tmp_path / "data.npy")
    assert f"total {4 * data.sum():.6f}" in done.stdout, "every rank adds all of it: the third fault"


def without_barrier():
    text = (EXAMPLES / "mpi_sum.py").read_text()
    assert text.count("comm.Barrier()\n") == 1
    # Rank 0 is slow enough for the others to be early.
    return text.replace("comm.Barrier()\n", "").replace("    np.save(", "    __import__('time').sleep(2)\n    np.save(")


def test_its_first_fault_ends_the_job(ranks, tmp_path):
    done = ranks(4, without_barrier())
    assert done.returncode != 0 and "FileNotFoundError" in done.stderr, done.stdout


def test_its_second_fault_is_a_wrong_total(ranks, tmp_path):
    np.save(tmp_path / "data.npy", np.zeros(100))
    done = ranks(4, without_barrier())
    assert done.returncode == 0, done.stderr
    data = np.load(tmp_path / "data.npy")
    assert f"total {data.sum():.6f}" in done.stdout and data.sum() > 0, "the zeros of an earlier run were added"


def test_the_form_without_its_faults(ranks, tmp_path):
    for count in [1, 3, 4]:
        np.save(tmp_path / "data.npy", np.full(100, 1e9))
        done = ranks(count, EXAMPLES / "each_once.py")
        assert done.returncode == 0, done.stderr
        assert f"total {math.fsum(np.load(tmp_path / 'data.npy'))!r}\n" == done.stdout


def missing_for_mpi():
    """What is missing to run programs of mpi4py; None if nothing is."""
    if shutil.which("mpirun") is None:
        return "no mpirun here (Debian and Ubuntu: apt-get install openmpi-bin)"
    if importlib.util.find_spec("mpi4py.MPI") is None:
        return "no mpi4py here (pip install mpi4py)"
    return None


def test_exact_sums_within_mpi(tmp_path):
    missing = missing_for_mpi()
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    data = np.random.default_rng(1).standard_normal(100_000) * 10.0 ** np.arange(-50, 50).repeat(1000)
    for count in [1, 3, 4]:
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(count)]
        done = subprocess.run(
            [*command, sys.executable, str(EXAMPLES / "mpi4py_allreduce.py")],
            capture_output=True, text=True, timeout=120, cwd=tmp_path, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (total,) = re.findall(r"total (\S+);", done.stdout)
        assert float(total) == math.fsum(data), done.stdout
