"""The sum of an array whose elements are divided among ranks: each counts once.

    adsum run -n 4 -- python each_once.py

The data goes from rank 0 through the group and not through a file, so nobody can come too
early or find an old one; and each rank adds its own part. What is merged are exact
partials, so the total has the same bits from any number of ranks.
"""

import numpy as np

from adsum import MPI, Partial

comm = MPI.COMM_WORLD

parts = None
if comm.rank == 0:
    data = np.random.rand(100)
    np.save("data.npy", data)
    parts = np.array_split(data, comm.size)

mine = Partial.from_array(comm.scatter(parts))
states = comm.gather(mine.to_bytes())

if comm.rank == 0:
    total = sum(Partial.from_bytes(state, "sum") for state in states).finish()
    print(f"total {float(total)!r}", flush=True)
