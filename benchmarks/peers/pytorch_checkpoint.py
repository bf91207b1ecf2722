"""torch.distributed.checkpoint on the benchmark GPT with the state of AdamW: the peer of `ShardSharp.Benchmarks -- checkpoint`.

One process, the same tensors; prints the same figures. The load is from files in the page cache, into tensors that are there.

    python3 benchmarks/peers/pytorch_checkpoint.py --folder /tmp
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time

import torch
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", default="/tmp")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = os.path.join(arguments.folder, "pytorch-benchmark-checkpoint")
    state = {f"{kind}/{name}": torch.rand(shape) for kind in ("model", "exp_avg", "exp_avg_sq") for name, shape in shapes(arguments.hidden)}
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    saves, copies, loads = [], [], []
    for _ in range(arguments.repetitions):
        shutil.rmtree(folder, ignore_errors=True)
        start = time.perf_counter()
        checkpoint.save(state, storage_writer=checkpoint.FileSystemWriter(folder, sync_files=True), no_dist=True)
        saves.append(time.perf_counter() - start)
        start = time.perf_counter()
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={folder}.dd", "bs=1M", f"count={size >> 20}", "conv=fsync", "status=none"], check=True)
        copies.append(time.perf_counter() - start)
        os.remove(f"{folder}.dd")
        start = time.perf_counter()
        checkpoint.load(state, storage_reader=checkpoint.FileSystemReader(folder), no_dist=True)
        loads.append(time.perf_counter() - start)
    shutil.rmtree(folder)
    save, copy, load = (statistics.median(times) for times in (saves, copies, loads))
    print(json.dumps({
        "peer": "torch.distributed.checkpoint", "torch": torch.__version__, "mb": size / 1e6, "save_s": save, "save_gbps": size / 1e9 / save,
        "dd_s": copy, "save_to_dd": copy / save, "load_s": load, "load_gbps": size / 1e9 / load,
    }))


if __name__ == "__main__":
    main()
