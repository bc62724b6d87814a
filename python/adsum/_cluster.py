"""A running cluster of nodes, asked from Python."""

import json
import os
import subprocess
import types

import numpy

from . import _adsum, _errors, _functions, _sources
from .__main__ import again

_LIKE = numpy.empty(0)

# The exit codes of the command line.
_ERRORS = {
    2: _errors.DataError, 3: _errors.DataError, 5: _errors.IncompleteError, 6: _errors.DeadlineError,
    7: _errors.IdentityError, 10: _errors.UnreachableError,
}


class Cluster:
    """A cluster, by the address of any of its nodes; another answers when that is lost.

    >>> with adsum.Cluster("10.0.0.7", token="cluster.token") as cluster:   # doctest: +SKIP
    ...     cluster.put("day*.npy", replicas=2)
    ...     cluster.mean("day*.npy")

    hosts: "HOST", "HOST:PORT", the name of a cluster in config.toml, or a list of them, of
        which the first that answers is asked.
    token: the path of the file with the cluster's secret; by default ADSUM_TOKEN_FILE, or
        the user's own.

    Data are names and globs of the cluster's catalogue, one or a list. Every result is of
    all elements that they stand for, or an exception: with allow_partial= it is of what is
    there, with a PartialResultWarning that names the rest. Raises UnreachableError,
    IdentityError, IncompleteError, DeadlineError and DataError, which are ClusterErrors.
    Ctrl-C ends what the cluster does for it.
    """

    def __init__(self, hosts, *, token=None):
        self._hosts = [hosts] if isinstance(hosts, str) else list(hosts)
        token = os.environ.get("ADSUM_TOKEN_FILE") if token is None else token
        self._token = None if token is None else os.fspath(token)
        self._connection = _adsum.Connection(self._hosts, self._token)
        self._connection.open()

    def __repr__(self):
        return f"adsum.Cluster({', '.join(self._hosts)!r})"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the connection; the next question makes another."""
        self._connection.close()

    def histogram(self, data, bins=10, range=None, *, skip_nan=False, **how):
        """The numbers of elements between edges; as adsum.histogram, and the keywords of sum."""
        count, edges, ends = _functions.edges_of(bins, range)
        found = self._connection.histogram(_wanted(data, **how), count, edges, ends, skip_nan)
        return _functions.histogram_of(found, bins)

    def stats(self, data, *, skip_nan=False, **how):
        """A summary; as adsum.stats, and the keywords of sum."""
        quartiles = self.quantile(data, [0.25, 0.5, 0.75], skip_nan=skip_nan, dtype="float64", **how)
        return _functions.stats_of(self._connection.summary(_wanted(data, **how), skip_nan), quartiles)

    def quantile(self, data, q, *, method="linear", dtype=None, skip_nan=False, **how):
        """Exact quantiles; as adsum.quantile, and the keywords of sum."""
        shares = numpy.asarray(q, float)
        found = self._connection.quantiles(
            _wanted(data, **how), shares.ravel().tolist(), method, skip_nan, _sources.dtype_name(dtype), _LIKE
        )
        return found.reshape(shares.shape)[()]

    def percentile(self, data, q, **how):
        """Exact percentiles; as adsum.percentile, and the keywords of quantile."""
        return self.quantile(data, numpy.true_divide(q, 100), **how)

    def median(self, data, **how):
        """The exact median, rounded once; the keywords of quantile."""
        return self.quantile(data, 0.5, **how)

    def vdot(self, a, b, dtype=None, **how):
        """The exact sum of the products of the elements at equal places, rounded once; as
        adsum.vdot of the same files. a, b: names or globs, or lists; the keywords of sum."""
        wanted = _wanted(a, **how)
        wanted.second = _patterns(b)
        return self._connection.number("dot", wanted, _sources.dtype_name(dtype), 0, False, _LIKE)

    def put(self, files, *, replicas=1, prefix=None):
        """Copies .npy files of this machine onto nodes, checked and whole.

        files: a path, a glob, or a list. replicas: on how many nodes each is to be.
        prefix: put before each name, as a directory. Returns what 'adsum put --json' prints.
        """
        options = ["--replicas", str(replicas)] + ([] if prefix is None else ["--as", prefix])
        return self._command("put", *options, "--", *_sources.paths_of(files))

    def ls(self, *globs):
        """The names that the cluster knows, those that match one of the globs: a list of
        dicts with "name", "state" and "contents", as 'adsum ls --json' prints them."""
        return self._command("ls", "--", *globs)["names"]

    def rm(self, *names):
        """Forgets names whose files are gone: a list of dicts with "name" and "digests"."""
        return self._command("rm", "--", *names)["removed"]

    def status(self):
        """The nodes, what they have and what they do: a list of dicts, as
        'adsum status --json' prints them."""
        return self._command("status")["nodes"]

    def _command(self, name, *arguments):
        # What the command line does is not done a second time here.
        where = ["--via", ",".join(self._hosts)] + ([] if self._token is None else ["--token", self._token])
        command = [*again(), name, "--json", *where, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            try:
                message = json.loads(done.stderr.splitlines()[-1])["error"]["message"]
            except (IndexError, KeyError, TypeError, ValueError):
                message = done.stderr.strip() or f"'adsum {name}' ended with code {done.returncode}"
            raise _ERRORS.get(done.returncode, _errors.ClusterError)(message)
        return json.loads(done.stdout)


def _patterns(data):
    return [data] if isinstance(data, str) else list(data)


def _wanted(data, *, allow_partial=False, each_node=False, verify=False, deadline=None, progress=None):
    return types.SimpleNamespace(
        patterns=_patterns(data), second=None, allow_partial=allow_partial, each_node=each_node, verify=verify,
        deadline_s=deadline, progress=progress,
    )


def _method(op, name, skip_nan):
    def method(self, data, dtype=None, *, ddof=0, **how):
        return self._connection.number(op, _wanted(data, **how), _sources.dtype_name(dtype), ddof, skip_nan, _LIKE)

    method.__name__, method.__qualname__ = name, f"Cluster.{name}"
    method.__doc__ = f"""{name} of all elements, as adsum.{name} of the same files.

        data: a name or a glob of the catalogue, or a list. dtype, ddof: as there.
        allow_partial: take what is there if some of it is missing.
        each_node: where nodes have different files of one name, take each of them.
        verify: compare what is read with the hashes of the files.
        deadline: give up after so many seconds.
        progress: called with the bytes that are done and all bytes of a pass.
        """
    return method


for _name in [
    "sum", "mean", "var", "std", "min", "max", "argmin", "argmax", "minmax", "prod", "any", "all", "count_nonzero",
    "l1", "l2", "linf", "sumsq",
]:
    setattr(Cluster, _name, _method(_name, _name, False))
for _name in ["sum", "mean", "prod", "var", "std", "min", "max", "argmin", "argmax"]:
    setattr(Cluster, f"nan{_name}", _method(_name, f"nan{_name}", True))
for _name in ["and", "or", "xor"]:
    setattr(Cluster, f"bitwise_{_name}", _method(_name, f"bitwise_{_name}", False))
