"""CuPy's or PyTorch's reductions of data on the card. Started by run-gpu, one
object of JSON on each line of stdout:

    gpu_python.py cupy|torch DEVICE FOLDER REPEATS ROUNDS

FOLDER has a block of elements for each type, of which the data set is so many.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

DTYPES = ("float32", "float64", "int32", "int64")
WARM_UPS = 10


def main() -> None:
    library, device, folder, repeats, rounds = sys.argv[1:]
    try:
        peer = {"cupy": Cupy, "torch": Torch}[library](int(device))
    except ImportError:
        print(json.dumps({"absent": "not installed"}))
        return
    if not peer.has_gpu():
        print(json.dumps({"absent": "sees no GPU"}))
        return
    for dtype in DTYPES:
        data = peer.load(Path(folder) / f"{dtype}.bin", dtype, int(repeats))
        for what in ("sum", "min", "argmin"):
            call = peer.call(data, what)
            kernels = [peer.seconds(call) for _ in range(WARM_UPS + int(rounds))]
            whole = [host_seconds(call) for _ in range(int(rounds))]
            row = {"what": what, "dtype": dtype, "elements": peer.length(data),
                   "bytes": peer.length(data) * (4 if "32" in dtype else 8),
                   "total": dtype if "float" in dtype else "int64",
                   "seconds": median(whole), "kernel_s": median(kernels[WARM_UPS:]),
                   "answer": repr(call().item())}
            print(json.dumps(row), flush=True)
        del data, call


def host_seconds(call) -> float:
    """Until the host has the answer."""
    begin = time.perf_counter()
    call().item()
    return time.perf_counter() - begin


class Cupy:
    def __init__(self, device: int):
        import cupy
        self.cupy, self.device = cupy, device

    def has_gpu(self) -> bool:
        if not self.cupy.cuda.is_available():
            return False
        self.cupy.cuda.Device(self.device).use()
        return True

    def load(self, path: Path, dtype: str, repeats: int):
        import numpy
        return self.cupy.tile(self.cupy.asarray(numpy.fromfile(path, dtype)), repeats)

    def length(self, data) -> int:
        return int(data.size)

    def call(self, data, what: str):
        return getattr(data, what)

    def seconds(self, call) -> float:
        begin, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        begin.record()
        call()
        end.record()
        end.synchronize()
        return self.cupy.cuda.get_elapsed_time(begin, end) / 1e3


class Torch:
    def __init__(self, device: int):
        import torch
        self.torch, self.device = torch, device

    def has_gpu(self) -> bool:
        if not self.torch.cuda.is_available():
            return False
        self.torch.cuda.set_device(self.device)
        return True

    def load(self, path: Path, dtype: str, repeats: int):
        kind = getattr(self.torch, dtype)
        block = self.torch.frombuffer(bytearray(path.read_bytes()), dtype=kind)
        return block.cuda().repeat(repeats)

    def length(self, data) -> int:
        return data.numel()

    def call(self, data, what: str):
        return getattr(data, what)

    def seconds(self, call) -> float:
        begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3


main()
