"""The command line inside the package."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import adsum

unix = pytest.mark.skipif(os.name != "posix", reason="signals of Unix")


def said(*command, **how):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **how)
    return done.returncode, done.stdout.strip(), done.stderr


@pytest.fixture
def file(tmp_path):
    x = np.random.default_rng(5).standard_normal(100_000) * 1e6
    np.save(tmp_path / "f.npy", x)
    return tmp_path / "f.npy", x


def test_it_answers_as_the_functions_do(adsum_command, file):
    path, x = file
    for command in [[adsum_command], [sys.executable, "-m", "adsum"]]:
        code, answer, _ = said(*command, "sum", "--quiet", str(path))
        assert (code, float(answer)) == (0, adsum.sum(x))


def test_its_version_is_that_of_the_module(adsum_command):
    assert said(adsum_command, "--version")[:2] == (0, f"adsum {adsum.__version__}")


def test_nodes_are_processes_of_its_own(adsum_command, file):
    path, x = file
    # Nor does a module of the directory take the place of the package.
    (path.parent / "adsum.py").write_text("raise SystemExit('the wrong adsum')")
    code, answer, talk = said(adsum_command, "sum", "--nodes", "3", str(path), cwd=path.parent)
    assert (code, float(answer)) == (0, adsum.sum(x)) and "3 nodes" in talk


def test_ranks_find_each_other(ranks):
    done = ranks(4, "from adsum import MPI\nprint(MPI.COMM_WORLD.allreduce(1), flush=True)")
    assert (done.returncode, done.stdout.split()) == (0, ["4"] * 4)


def test_the_code_is_the_verdict(adsum_command, ranks, tmp_path):
    assert said(adsum_command, "sum", "--json")[0] == 2
    code, answer, talk = said(adsum_command, "sum", str(tmp_path / "none.npy"))
    assert (code, answer) == (3, "") and "none.npy" in talk
    assert ranks(2, "import sys; sys.exit(7)").returncode == 7


@unix
@pytest.mark.parametrize("arguments", [["sum", "-"], ["run", "-n", "2", "--", "sleep", "600"], ["node"]], ids=lambda a: a[0])
def test_ctrl_c_ends_it(adsum_command, tmp_path, arguments):
    if arguments == ["node"]:
        token = tmp_path / "token"
        token.write_text(said(adsum_command, "token", "new")[1])
        token.chmod(0o600)
        arguments = ["node", "--token", str(token), "--bind", "127.0.0.1:0", "--data", str(tmp_path)]
    if arguments[0] == "sum":
        arguments = ["sum", "--dtype", "f64", "-"]
    running = subprocess.Popen(
        [adsum_command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # It may not listen to signals yet.
    ended = threading.Event()

    def interrupt():
        while not ended.wait(0.5):
            running.send_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        running.wait(30)
    finally:
        ended.set()
        running.kill()
        running.communicate()
    assert running.returncode in ([0] if arguments[0] == "node" else [130, -signal.SIGINT])
