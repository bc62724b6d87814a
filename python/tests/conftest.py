"""What the tests share."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

PYTHON = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def adsum_command():
    """The command line of the same version: ADSUM names it, else it is on the PATH."""
    found = os.environ.get("ADSUM") or shutil.which("adsum")
    if found is None:
        pytest.fail("no adsum command: set ADSUM to the path of the built program")
    return found


@pytest.fixture
def ranks(adsum_command, tmp_path):
    """Runs a program, text or a path, with so many ranks; the completed process."""

    def run(count, program, timeout=60):
        if isinstance(program, str):
            text, program = program, tmp_path / "program.py"
            program.write_text(text)
        command = [adsum_command, "run", "-n", str(count), "--", sys.executable, str(program)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=tmp_path, stdin=subprocess.DEVNULL
        )

    return run
