"""The peers of run-gpu: what they need, and how each is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common import MISSING, WRONG, Problem, told

HERE = Path(__file__).resolve().parent


class Budget:
    """What is left of the time for all of it."""

    def __init__(self, seconds: float):
        self.until = time.monotonic() + seconds

    def limit(self, seconds: float) -> float:
        """A step's own limit, or what is left if that is less."""
        left = self.until - time.monotonic()
        if left < 5:
            raise Problem(0, "skipped, the time is up")
        return min(seconds, left)


def run(command: list[str], limit_s: float) -> subprocess.CompletedProcess:
    """Runs a program. What it had said when its time was up is not lost."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=limit_s)
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired as late:
        out = (late.stdout or b"").decode()
        return subprocess.CompletedProcess(command, 124, out, f"took longer than {limit_s:.0f} s")


def lines(command: list[str], limit_s: float) -> tuple[list[dict], str]:
    """The objects that a program printed, and what went wrong, if anything."""
    done = run(command, limit_s)
    # One that was ended may have been in the middle of a line.
    whole = done.stdout[:done.stdout.rfind("\n") + 1].splitlines()
    found = [json.loads(line) for line in whole if line.startswith("{")]
    return found, f"failed: {told(done.stderr)}" if done.returncode else ""


def tools() -> str:
    """The path of nvcc. Says all that is missing at once."""
    missing = []
    if not shutil.which("nvidia-smi"):
        missing.append("nvidia-smi is not on PATH: it comes with NVIDIA's driver; install that, "
                       "or start a container with its GPUs")
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    places = [f"{home}/bin/nvcc" for home in [*homes, "/usr/local/cuda"]]
    found = [path for path in [shutil.which("nvcc"), *places] if path and os.access(path, os.X_OK)]
    if not found:
        missing.append("nvcc is not on PATH, in CUDA_HOME or in /usr/local/cuda: it comes with "
                       "the CUDA toolkit, 11.8 or newer; install that, or use a 'devel' image")
    if missing:
        raise Problem(MISSING, "; ".join(missing))
    return found[0]


def compile_cub(nvcc: str, folder: Path, budget: Budget) -> str:
    """Compiles the peers by CUB. Tries the card's own architecture first."""
    source, program = str(HERE / "cub_peers.cu"), str(folder / "cub_peers")
    told_card = run(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], 20)
    versions = [line.strip().replace(".", "") for line in told_card.stdout.splitlines()]
    named = [f"-arch=sm_{version}" for version in versions[:1] if version.isdigit()]
    problem = ""
    # Without one, the driver makes the code for the card at its first use.
    for arch in [["-arch=native"], named, []]:
        done = run([nvcc, "-O3", "-std=c++17", *arch, "-o", program, source], budget.limit(120))
        if done.returncode == 0:
            return program
        said = (done.stderr + done.stdout).splitlines()
        problem = problem or next((line for line in said if "error" in line or "fatal" in line),
                                  told(done.stderr))
    raise Problem(WRONG, f"failed: {problem}")


def card(program: str, device: int, size_bytes: int, rounds: int, budget: Budget) -> dict:
    """The name of the card, its peak, and the rate of a plain read."""
    found, problem = lines([program, "card", str(device), str(size_bytes), str(rounds)],
                           budget.limit(60))
    if not found:
        raise Problem(WRONG, problem or "the read of the card printed nothing")
    return found[0]


def cub(program: str, device: int, block, rounds: int, budget: Budget) -> tuple[list[dict], str]:
    """CUB's reductions of one type of elements."""
    command = [program, block.dtype, str(device), str(block.path), str(block.repeats), str(rounds)]
    found, problem = lines(command, budget.limit(60))
    return [{**row, "dtype": block.dtype} for row in found], problem


def library(name: str, device: int, folder: Path, repeats: int, rounds: int,
            budget: Budget) -> tuple[list[dict], str]:
    """CuPy's or PyTorch's reductions of all types."""
    command = [sys.executable, str(HERE / "gpu_python.py"), name, str(device), str(folder),
               str(repeats), str(rounds)]
    found, problem = lines(command, budget.limit(90))
    if found and "absent" in found[0]:
        return [], found[0]["absent"]
    return found, problem
