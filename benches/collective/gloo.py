"""What examples/all_reduce.rs does, by PyTorch's Gloo: the same sizes, data, rules and
columns.

`adsum run` starts the ranks and says in the environment who is which, and where rank 0
may listen.
"""

import os
import time
from datetime import timedelta

import torch
import torch.distributed as dist

SIZES = [8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 1 << 20, 8 << 20, 64 << 20]
LEAST_S = 0.4
CALLS_MAX = 2000
COLD = 3


def measure(size_bytes: int) -> None:
    rank, size = dist.get_rank(), dist.get_world_size()
    index = torch.arange(size_bytes // 4)
    values = [((index * 7 + other * 13) % 1000).float() for other in range(size)]
    own, right = values[rank], sum(values)
    del index, values
    data = own.clone()
    times, wrong = [], 0
    begun = time.perf_counter()
    enough = torch.zeros(1, dtype=torch.uint8)
    # All ranks stop at the same call.
    while not enough:
        data.copy_(own)
        dist.barrier()
        start = time.perf_counter()
        dist.all_reduce(data)
        times.append((time.perf_counter() - start) * 1e6)
        wrong += int((data != right).sum())
        long = time.perf_counter() - begun > LEAST_S
        enough[0] = len(times) >= 2 * COLD and (long or len(times) >= CALLS_MAX)
        dist.broadcast(enough, 0)
    slowest = torch.tensor(times[COLD:], dtype=torch.float64)
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    all_wrong = torch.tensor([wrong])
    dist.all_reduce(all_wrong)
    if rank == 0:
        us = float(slowest.sort().values[len(slowest) // 2])
        rate = size_bytes / us / 1e3
        bus = rate * 2 * (size - 1) / size
        print(f"{size_bytes} {us:.1f} {rate:.3f} {bus:.3f} {int(all_wrong)}", flush=True)


def main() -> None:
    # As torchrun has it: threads that wait for work would take the cores from the ranks.
    torch.set_num_threads(1)
    rank, size = int(os.environ["ADSUM_RANK"]), int(os.environ["ADSUM_SIZE"])
    dist.init_process_group(
        "gloo",
        init_method=f"tcp://{os.environ['ADSUM_ROOT']}",
        rank=rank,
        world_size=size,
        timeout=timedelta(minutes=5),
    )
    if rank == 0:
        print("bytes us algbw_gb_per_s busbw_gb_per_s wrong", flush=True)
    for size_bytes in SIZES:
        measure(size_bytes)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
