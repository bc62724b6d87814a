"""A running cluster: nodes that are started here, asked from Python."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import adsum


class Nodes:
    """Nodes of one cluster, each with a folder of its own."""

    def __init__(self, command, folder):
        self.command, self.folder, self.nodes, self.addrs = command, folder, [], []
        self.token = folder / "token"
        self.token.write_text(self.said("token", "new"))
        self.token.chmod(0o600)

    def said(self, *arguments):
        return subprocess.run([self.command, *arguments], capture_output=True, text=True, check=True).stdout

    def data(self, number):
        return self.folder / f"node{number}"

    def start(self):
        number = len(self.nodes)
        self.data(number).mkdir(exist_ok=True)
        command = [
            self.command, "node", "--token", self.token, "--data", self.data(number), "--name", f"n{number}",
            "--bind", "127.0.0.1:0", "--threads", "1", "--json",
        ]
        if self.addrs:
            command += ["--join", self.addrs[0]]
        node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.nodes.append(node)
        self.addrs.append(json.loads(node.stdout.readline())["listen"])

    def stop(self, number):
        """Has a node stand still. That takes effect only when one of its threads has heard of it."""
        node = self.nodes[number]
        node.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(node.pid, os.WUNTRACED)[1])

    def end(self):
        for node in self.nodes:
            node.kill()
            node.wait()


@pytest.fixture
def nodes(adsum_command, tmp_path):
    nodes = Nodes(adsum_command, tmp_path)
    yield nodes
    nodes.end()


@pytest.fixture
def parts():
    rng = np.random.default_rng(6)
    return [rng.standard_normal(5000) * 10.0 ** rng.integers(-9, 9, 5000) for _ in range(3)]


@pytest.fixture
def cluster(nodes, parts):
    for number, part in enumerate(parts[:2]):
        nodes.data(number).mkdir()
        np.save(nodes.data(number) / f"part{number}.npy", part)
        nodes.start()
    with adsum.Cluster(nodes.addrs[0], token=nodes.token) as cluster:
        wait_for(lambda: len(cluster.ls("part*.npy")) == len(cluster.status()) == 2)
    # Who connects now is told of both nodes.
    with adsum.Cluster(nodes.addrs[0], token=nodes.token) as cluster:
        yield cluster


def ask_for_a_while(cluster, file, elements):
    """The members are asked for beside a question once a second. On a busy machine one may
    count as down for a moment."""
    for _ in range(3):
        time.sleep(1.1)
        assert cluster.sum(file) == adsum.sum(elements)


def wait_for(what, seconds=30):
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.1)


def test_it_answers_as_the_functions_do(cluster, parts):
    whole = np.concatenate(parts[:2])
    for name in ["sum", "mean", "var", "std", "min", "max", "argmin", "argmax", "prod", "count_nonzero", "l1", "l2", "linf", "sumsq", "median"]:
        found, wanted = getattr(cluster, name)("part*.npy"), getattr(adsum, name)(whole)
        assert found == wanted and type(found) is type(wanted), name
    assert cluster.minmax("part*.npy") == (whole.min(), whole.max())
    assert cluster.sum(["part1.npy"]) == adsum.sum(parts[1])
    assert cluster.var("part*.npy", ddof=1, dtype="float32") == adsum.var(whole, ddof=1, dtype="float32")
    assert np.array_equal(cluster.quantile("part*.npy", [[0.1], [0.9]]), adsum.quantile(whole, [[0.1], [0.9]]))
    assert cluster.percentile("part*.npy", 25) == adsum.percentile(whole, 25)
    for found, wanted in zip(cluster.histogram("part*.npy", 7), adsum.histogram(whole, 7)):
        assert np.array_equal(found, wanted)
    assert cluster.stats("part*.npy") == adsum.stats(whole)


def test_put_ls_and_status(cluster, parts, tmp_path, monkeypatch):
    np.save(tmp_path / "more.npy", parts[2])
    monkeypatch.chdir(tmp_path)
    cluster.put("more.npy", replicas=2, prefix="new/")
    assert cluster.sum("new/more.npy") == adsum.sum(parts[2])
    np.save(tmp_path / "back.npy", parts[2][::-1])
    cluster.put("back.npy", replicas=2, prefix="other/")
    assert cluster.vdot("new/more.npy", ["other/back.npy"]) == adsum.vdot(parts[2], parts[2][::-1])
    assert cluster.vdot("new/*", "new/*", "float32") == adsum.vdot(parts[2], parts[2], "float32")
    with pytest.raises(adsum.DataError, match="shape"):
        cluster.vdot("new/*", "part*.npy")
    with pytest.raises(adsum.DataError, match="nothing"):
        cluster.vdot("new/*", "nothing")
    assert cluster.sum(["part*.npy", "new/*"]) == adsum.sum(np.concatenate(parts))
    (listed,) = cluster.ls("new/*")
    assert listed["name"] == "new/more.npy" and listed["state"] == "present"
    assert len(listed["contents"][0]["nodes"]) == 2
    status = cluster.status()
    assert sorted(node["name"] for node in status) == ["n0", "n1"] and all(node["reached"] for node in status)
    with pytest.raises(adsum.DataError, match="none.npy"):
        cluster.put("none.npy")


def test_what_is_missing_is_never_left_out_in_silence(cluster, nodes, parts):
    nodes.nodes[1].kill()
    nodes.nodes[1].wait()
    with pytest.raises(adsum.IncompleteError, match="part1.npy"):
        cluster.sum("part*.npy")
    wait_for(lambda: [one["state"] for one in cluster.ls("part1.npy")] == ["missing"])
    with pytest.raises(adsum.IncompleteError, match="part1.npy.*allow_partial="):
        cluster.sum("part*.npy")
    with pytest.warns(adsum.PartialResultWarning, match="part1.npy"):
        assert cluster.sum("part*.npy", allow_partial=True) == adsum.sum(parts[0])
    assert cluster.sum("part0.npy") == adsum.sum(parts[0])


def test_whose_fault_it_is(cluster, nodes, tmp_path):
    with pytest.raises(adsum.DataError, match="nothing"):
        cluster.sum("nothing*.npy")
    with pytest.raises(TypeError, match="and"):
        cluster.bitwise_and("part0.npy")
    other = tmp_path / "other"
    other.write_text(nodes.said("token", "new"))
    other.chmod(0o600)
    with pytest.raises(adsum.IdentityError):
        adsum.Cluster(nodes.addrs[0], token=other)
    with pytest.raises(PermissionError):
        adsum.Cluster(nodes.addrs[0], token=other)
    with pytest.raises(adsum.DataError, match="token"):
        adsum.Cluster(nodes.addrs[0], token=tmp_path / "no token")
    with pytest.raises(adsum.DataError):
        adsum.Cluster("a host", token=nodes.token)
    nodes.end()
    with pytest.raises(adsum.UnreachableError):
        cluster.sum("part0.npy")


def test_another_node_answers_when_one_is_lost(cluster, nodes, parts):
    np.save(nodes.data(1) / "late.npy", parts[2])
    wait_for(lambda: [one["state"] for one in cluster.ls("late.npy")] == ["present"])
    ask_for_a_while(cluster, "late.npy", parts[2])
    nodes.nodes[0].kill()
    nodes.nodes[0].wait()
    assert cluster.sum("late.npy") == adsum.sum(parts[2])


def test_a_node_that_joined_since_answers_when_the_first_is_lost(nodes, parts):
    nodes.start()
    with adsum.Cluster(nodes.addrs[0], token=nodes.token) as cluster:
        nodes.data(1).mkdir()
        np.save(nodes.data(1) / "late.npy", parts[2])
        nodes.start()
        wait_for(lambda: [one["state"] for one in cluster.ls("late.npy")] == ["present"])
        ask_for_a_while(cluster, "late.npy", parts[2])
        nodes.nodes[0].kill()
        nodes.nodes[0].wait()
        assert cluster.sum("late.npy") == adsum.sum(parts[2])


def test_several_threads_ask_at_once(cluster, parts):
    found = []
    ask = lambda number: found.append((number, cluster.sum(f"part{number}.npy")))
    threads = [threading.Thread(target=ask, args=(number % 2,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted((number % 2, adsum.sum(parts[number % 2])) for number in range(6))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_asks_by_itself(cluster, parts):
    wanted = cluster.sum("part0.npy")
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os._exit(0 if cluster.sum("part0.npy") == wanted else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert cluster.sum("part0.npy") == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_ends_without_the_threads_of_its_parent(cluster, nodes):
    program = f"""
import os, adsum
cluster = adsum.Cluster({nodes.addrs[0]!r}, token={str(nodes.token)!r})
child = os.fork()
if child:
    print(os.waitpid(child, 0)[1], flush=True)
del cluster
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
def test_a_deadline_passes(cluster, nodes):
    nodes.stop(1)
    with pytest.raises(adsum.DeadlineError):
        cluster.sum("part1.npy", deadline=0.5)
    with pytest.raises(TimeoutError):
        cluster.sum("part1.npy", deadline=0.5)


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
def test_ctrl_c_ends_a_question(cluster, nodes):
    program = f"""
import sys, adsum
cluster = adsum.Cluster({nodes.addrs[0]!r}, token={str(nodes.token)!r})
print("go", flush=True)
try:
    cluster.sum("part1.npy")
except KeyboardInterrupt:
    print("interrupted")
"""
    nodes.stop(1)
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "go\n"
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=30)[0] == "interrupted\n"
