"""What the tests share."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig

import pytest

# Where it is set, Python writes a line and its end one by one, and lines of ranks that
# write to one pipe get mixed.
os.environ.pop("PYTHONUNBUFFERED", None)

# Programs that a shell starts in the background ignore Ctrl-C, and so would all those that
# the tests press it for.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def adsum_command():
    """The command line that was installed with the package."""
    found = shutil.which("adsum", path=sysconfig.get_path("scripts"))
    if found is None:
        pytest.fail(f"no adsum command beside {sys.executable}: install the package")
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
