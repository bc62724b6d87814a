"""An exact sum inside of MPI: mpi4py adds the integers that adsum.Partial is made of.

    mpirun -n 4 python mpi4py_allreduce.py

MPI knows nothing of adsum. It adds vectors of int64, in whatever order it likes, and the
total has the same bits from any number of ranks.
"""

import numpy as np
from mpi4py import MPI

from adsum import Partial

comm = MPI.COMM_WORLD
data = np.random.default_rng(1).standard_normal(100_000) * 10.0 ** np.arange(-50, 50).repeat(1000)
mine = np.array_split(data, comm.size)[comm.rank]

words = Partial.from_array(mine).to_int64()
comm.Allreduce(MPI.IN_PLACE, words, op=MPI.SUM)
total = Partial.from_int64(words).finish()

naive = comm.allreduce(mine.sum())
if comm.rank == 0:
    print(f"total {float(total)!r}; of sums that were rounded {float(naive)!r}", flush=True)
