"""torch.distributed.checkpoint on the benchmark GPT with the state of AdamW: the peer of `ShardSharp.Benchmarks -- checkpoint`.

The same tensors on each rank; prints the same figures. The load is from files in the page cache, into tensors that are there.

    python3 benchmarks/peers/pytorch_checkpoint.py --folder /tmp --ranks 2
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time

import torch
from torch import distributed
from torch.distributed import checkpoint


def shapes(hidden, vocabulary=8192, length=256, layers=8):
    yield "token", (vocabulary, hidden)
    yield "position", (length, hidden)
    for layer in range(layers):
        for name in ("query", "key", "value", "projection"):
            yield f"{layer}.{name}.weight", (hidden, hidden)
            yield f"{layer}.{name}.bias", (hidden,)
        yield f"{layer}.up.weight", (4 * hidden, hidden)
        yield f"{layer}.up.bias", (4 * hidden,)
        yield f"{layer}.down.weight", (hidden, 4 * hidden)
        yield f"{layer}.down.bias", (hidden,)
    yield "head", (vocabulary, hidden)


def measure(rank, arguments):
    torch.set_num_threads(1)
    alone = arguments.ranks == 1
    if not alone:
        distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{arguments.port}", rank=rank, world_size=arguments.ranks)

    def seconds(action):
        if not alone:
            distributed.barrier()
        start = time.perf_counter()
        action()
        if not alone:
            distributed.barrier()
        return time.perf_counter() - start

    def copy():
        if rank == 0:
            subprocess.run(
                ["dd", "if=/dev/zero", f"of={folder}.dd", "bs=1M", f"count={size >> 20}", "conv=fsync", "status=none"], check=True)
            os.remove(f"{folder}.dd")

    folder = os.path.join(arguments.folder, "pytorch-benchmark-checkpoint")
    state = {f"{kind}/{name}": torch.rand(shape) for kind in ("model", "exp_avg", "exp_avg_sq") for name, shape in shapes(arguments.hidden)}
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    saves, copies, loads = [], [], []
    for _ in range(arguments.repetitions):
        if rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
        saves.append(seconds(lambda: checkpoint.save(
            state, storage_writer=checkpoint.FileSystemWriter(folder, sync_files=True), no_dist=alone)))
        copies.append(seconds(copy))
        loads.append(seconds(lambda: checkpoint.load(state, storage_reader=checkpoint.FileSystemReader(folder), no_dist=alone)))
    if rank != 0:
        return
    shutil.rmtree(folder)
    save, copied, load = (statistics.median(times) for times in (saves, copies, loads))
    print(json.dumps({
        "peer": "torch.distributed.checkpoint", "torch": torch.__version__, "ranks": arguments.ranks, "mb": size / 1e6, "save_s": save,
        "save_gbps": size / 1e9 / save, "dd_s": copied, "save_to_dd": copied / save, "load_s": load,
        "load_gbps": arguments.ranks * size / 1e9 / load,
    }))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", default="/tmp")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--port", type=int, default=29577)
    arguments = parser.parse_args()
    if arguments.ranks == 1:
        measure(0, arguments)
    else:
        torch.multiprocessing.spawn(measure, (arguments,), nprocs=arguments.ranks)


if __name__ == "__main__":
    main()
