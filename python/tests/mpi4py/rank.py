"""One rank of mpi4py's tests: runs a module of them, and says as JSON how it went.

    python rank.py MODULE FOLDER
"""

import json
import os
import pathlib
import sys
import unittest

name, folder = sys.argv[1:]
# The folder of the tests, where this is run.
sys.path.insert(0, os.getcwd())


class Result(unittest.TextTestResult):
    """Counts the tests themselves, and not the cases within them."""

    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


suite = unittest.defaultTestLoader.loadTestsFromName(name)
result = unittest.TextTestRunner(resultclass=Result).run(suite)

from adsum import MPI  # noqa: E402: the tests meet the others first

report = {
    "run": result.testsRun,
    "passed": result.passed,
    # Of cases within a test the last one.
    "failed": {
        str(getattr(test, "test_case", test)): said.strip().splitlines()[-1]
        for test, said in result.failures + result.errors
    },
    "skipped": [[str(test), reason] for test, reason in result.skipped],
}
(pathlib.Path(folder) / f"{MPI.COMM_WORLD.rank}.json").write_text(json.dumps(report))
