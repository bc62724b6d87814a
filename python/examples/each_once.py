"""The sum of an array whose elements are divided among ranks: each counts once.

    adsum run -n 4 -- python each_once.py

The data goes from rank 0 through the group and not through a file, so nobody can come too
early or find an old one; and each rank adds its own part. The total of all parts is exact
and rounded once, so it has the same bits from any number of ranks.
"""

import numpy as np

import adsum
from adsum import MPI

comm = MPI.COMM_WORLD

parts = None
if comm.rank == 0:
    data = np.random.rand(100)
    np.save("data.npy", data)
    parts = np.array_split(data, comm.size)

total = adsum.sum(comm.scatter(parts), comm=comm)

if comm.rank == 0:
    print(f"total {float(total)!r}", flush=True)
