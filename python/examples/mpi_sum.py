"""An mpi4py program with its import changed: rank 0 makes data, all ranks add it.

    adsum run -n 4 -- python mpi_sum.py

As it is often printed, without the barrier below, it has three faults:

1. Without a barrier the others may look for the file before it is there. Under MPI the
   rank that fails ends alone and the rest wait in reduce for ever; here its exception ends
   the job.
2. Where a file of an earlier run lies, they load that, and the total is silently wrong.
3. With the barrier the total is still not that of the data: every rank adds all of it, so
   it is size times as much.

each_once.py has none of them.
"""

import numpy as np

from adsum import MPI

comm = MPI.COMM_WORLD
rank = comm.Get_rank()

if rank == 0:
    data = np.random.rand(100)
    np.save("data.npy", data)
comm.Barrier()
if rank != 0:
    data = np.load("data.npy")

local_sum = np.sum(data)
total_sum = comm.reduce(local_sum, op=MPI.SUM, root=0)

if rank == 0:
    print(f"total {total_sum:.6f}", flush=True)
else:
    print(f"rank {rank}: local sum {local_sum:.6f}", flush=True)
