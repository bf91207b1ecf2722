"""The collectives of PyTorch's Gloo backend: a peer of `ShardSharp.Benchmarks -- collectives`, which starts one of these for each rank.

Same operations, sizes and way of timing; rank 0 prints the same JSON objects. Needs RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
"""

import argparse
import json
import os
import statistics
import time

import torch
import torch.distributed as dist


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kib", type=int, nargs="+")
    parser.add_argument("--seconds", type=float)
    return parser.parse_args()


def repeat(call, times):
    if times == 0:
        return []
    seconds = []
    for _ in range(times):
        dist.barrier()
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    slowest = torch.tensor(seconds, dtype=torch.float64)
    dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
    return slowest.tolist()


def measure(call, patience):
    repeat(call, 3)
    once = max(repeat(call, 3))
    repeat(call, min(100_000, int(patience / 2 / once)))
    return statistics.median(repeat(call, max(5, min(100_000, int(patience / once)))))


def main():
    arguments = options()
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.set_num_threads(1)
    for kib in arguments.kib:
        share = kib * 256 // size
        whole, shares, received = torch.ones(kib * 256), torch.ones(share * size), torch.zeros(share * size)
        mine, reduced = torch.ones(share), torch.zeros(share)

        def exchange():
            if rank % 2 == 1:
                dist.recv(whole, rank - 1)
            elif rank + 1 < size:
                dist.send(whole, rank + 1)

        operations = {
            "all_reduce": lambda: dist.all_reduce(whole),
            "all_gather": lambda: dist.all_gather_into_tensor(received, mine),
            "reduce_scatter": lambda: dist.reduce_scatter_tensor(reduced, shares),
            "all_to_all": lambda: dist.all_to_all_single(received, shares),
            "send_recv": exchange,
        }
        for name, call in operations.items():
            seconds = measure(call, arguments.seconds)
            if rank == 0:
                gbps = kib * 1024 / seconds / 1e9
                print(json.dumps({"backend": "Gloo", "ranks": size, "op": name, "kib": kib, "us": seconds * 1e6, "gbps": gbps}), flush=True)
    dist.destroy_process_group()


main()
