"""The command line: ``adsum``, or ``python -m adsum``."""

import signal
import sys

from adsum import _adsum


def again():
    """The words that start the command line, to be followed by its arguments."""
    # No module of the directory that it is started in takes adsum's place.
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safe, "-m", "adsum"]


def main():
    """Runs the command line with the arguments of this process; the code to exit with."""
    # Python's handler would wait for Python code to run.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _adsum.command(["adsum", *sys.argv[1:]], again())


if __name__ == "__main__":
    sys.exit(main())
