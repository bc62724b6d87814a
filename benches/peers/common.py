"""What both scripts share: finding and running adsum, and printing tables."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
WRONG, MISSING, NO_DEVICE = 1, 2, 8
UNITS = {"": 0, "B": 0, "KIB": 10, "MIB": 20, "GIB": 30}


class Problem(Exception):
    """What ends a script, with its exit code."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code


def start(main) -> None:
    """Runs a script. SIGTERM ends it as Ctrl-C does, so that temporary files go."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    name = Path(sys.argv[0]).name
    try:
        sys.exit(main())
    except Problem as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        sys.exit(problem.code)
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        sys.exit(130)


def say(text: str) -> None:
    """Progress. stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def size(text: str) -> int:
    """A number of bytes with an optional unit, for argparse."""
    match = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", text)
    if not match or match[2].upper() not in UNITS or int(match[1]) == 0:
        raise ValueError(text)
    return int(match[1]) << UNITS[match[2].upper()]


def count(text: str) -> int:
    """A number of at least one, for argparse."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def size_text(size_bytes: int) -> str:
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size_bytes >= 1 << shift:
            return f"{size_bytes / (1 << shift):g} {unit}"
    return f"{size_bytes} B"


def need_space(folder: str, size_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size_bytes + (64 << 20):
        raise Problem(MISSING, f"{folder} has {size_text(free)} left, and the files here need "
                               f"{size_text(size_bytes)}; name another place by TMPDIR, or use "
                               "smaller sizes")


class Adsum:
    """The program, once it is known to be there and to know `bench`."""

    def __init__(self, named: str | None):
        self.path = find(named)
        self.version = self.words("--version").removeprefix("adsum ")
        helped = self.run(["bench", "--help"], 30)
        if helped.returncode != 0:
            raise Problem(MISSING, f"{self.path} (version {self.version}) has no 'bench'; build a "
                                   "newer one with 'cargo build --release', or name one by --adsum")

    def run(self, args: list[str], limit_s: float, feed=None) -> subprocess.CompletedProcess:
        """Runs it to its end. `feed` writes its standard input."""
        # Variables of adsum would change what is measured.
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ADSUM_")}
        command = [self.path, *args]
        try:
            if feed is None:
                return subprocess.run(command, env=clean, stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, timeout=limit_s)
            return run_fed(command, clean, limit_s, feed)
        except OSError as error:
            raise Problem(MISSING, f"{self.path} cannot be run ({error.strerror}); build it with "
                                   "'cargo build --release', or name another by --adsum") from None
        except subprocess.TimeoutExpired:
            raise Problem(WRONG, f"'adsum {' '.join(args)}' took longer than "
                                 f"{limit_s:.0f} s") from None

    def words(self, *args: str) -> str:
        done = self.run(list(args), 30)
        if done.returncode != 0 or not done.stdout.startswith("adsum "):
            raise Problem(MISSING, f"{self.path} is no adsum: '{' '.join(args)}' ended with "
                                   f"{done.returncode} and {done.stdout[:60]!r}")
        return done.stdout.strip()

    def json(self, args: list[str], limit_s: float = 60, feed=None) -> dict:
        """The object that it prints. Without one, the problem that it tells."""
        done = self.run([*args, "--json"], limit_s, feed)
        try:
            return json.loads(done.stdout)
        except ValueError:
            code = NO_DEVICE if done.returncode == NO_DEVICE else WRONG
            raise Problem(code, f"'adsum {' '.join(args)}' gave no object and ended with "
                                f"{done.returncode}: {told(done.stderr)}") from None

    def bench(self, kind: str, args: list[str], limit_s: float) -> dict:
        """The object of `adsum bench`, if all of its answers are right."""
        found = self.json(["bench", kind, *args], limit_s)
        for row in found["rows"]:
            if row["wrong"]:
                raise Problem(WRONG, f"adsum is wrong: {row['what']} of {row['dtype']} "
                                     f"{row['dist']} on {row['device']}, {row['wrong']} times")
        return found


def find(named: str | None) -> str:
    """The path of adsum: the one named, that of this repository, or the installed one."""
    built = REPOSITORY / "target" / "release" / "adsum"
    if named:
        if not Path(named).is_file():
            raise Problem(MISSING, f"there is no {named}; build it with 'cargo build --release'")
        return os.path.abspath(named)
    if built.is_file():
        return str(built)
    installed = shutil.which("adsum")
    if not installed:
        raise Problem(MISSING, f"no adsum: neither {built} nor on PATH; build it with "
                               "'cargo build --release', or name one by --adsum")
    return installed


def run_fed(command, env, limit_s, feed) -> subprocess.CompletedProcess:
    """Runs a command whose standard input is pieces of bytes."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=env, **pipes) as process:
        feeder = threading.Thread(target=pour, args=(feed, process.stdin), daemon=True)
        # Else `communicate` would close it.
        process.stdin = None
        feeder.start()
        try:
            out, err = process.communicate(timeout=limit_s)
        finally:
            process.kill()
            feeder.join()
    return subprocess.CompletedProcess(command, process.returncode, out.decode(), err.decode())


def pour(pieces, pipe) -> None:
    # A command that ends early says why itself.
    with contextlib.suppress(BrokenPipeError), pipe:
        for piece in pieces:
            pipe.write(piece)


def told(stderr: str) -> str:
    """The message among what a program wrote to stderr."""
    lines = stderr.strip().splitlines() or ["it said nothing"]
    try:
        return json.loads(lines[-1])["error"]["message"]
    except (ValueError, KeyError, TypeError):
        # Python's last line says what went wrong, others' first one.
        return lines[-1 if lines[0].startswith("Traceback") else 0]


def value_of(found: dict):
    """The answer in an object of adsum, floats by their bits."""
    if "float" not in found["dtype_out"]:
        return int(found["value"])
    form, width = (">f", 4) if found["dtype_out"] == "float32" else (">d", 8)
    return struct.unpack(form, int(found["bits"], 16).to_bytes(width, "big"))[0]


def number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def table(head: list[str], rows: list[list[str]], words: int, markdown: bool) -> str:
    """Rows in columns. The first `words` columns are left-aligned, the others right."""
    if markdown:
        rule = ["---" if column < words else "---:" for column in range(len(head))]
        return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [cell.ljust(width) if column < words else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
