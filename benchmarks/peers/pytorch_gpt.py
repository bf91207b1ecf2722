"""The benchmark GPT in PyTorch: the peer of `ShardSharp.Benchmarks -- train --mode single|ddp|sdp|tp|pp`.

Same model, initial parameters, tokens, optimizer and thread count, so the same losses; prints the same JSON object. With several ranks it
starts them itself, on this machine, with Gloo; `fsdp` is FSDP2 (`fully_shard`), a unit for each block; `tp` is tensor parallelism by DTensor
(`parallelize_module`), with the embedding's and the head's vocabulary divided and the loss of divided logits (`loss_parallel`); `pp`
is a pipeline by `Schedule1F1B`, cut after `--cut` blocks of two stages.

    python3 benchmarks/peers/pytorch_gpt.py --threads 2 --microbatches 1
    python3 benchmarks/peers/pytorch_gpt.py --mode fsdp --ranks 2
    python3 benchmarks/peers/pytorch_gpt.py --mode tp --ranks 2
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import threading
import time

import torch
from torch import distributed, multiprocessing, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


class Attention(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.projection = (nn.Linear(hidden, hidden) for _ in range(4))

    def forward(self, x):
        batch, length, hidden = x.shape

        def split(y):
            return y.view(batch, length, -1, hidden // self.heads).transpose(1, 2)

        y = functional.scaled_dot_product_attention(
            split(self.query(x)), split(self.key(x)), split(self.value(x)), is_causal=True)
        return self.projection(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.feed_forward_norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(functional.gelu(self.up(self.feed_forward_norm(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, vocabulary, length, hidden, heads, layers):
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, hidden)
        self.position_embedding = nn.Embedding(length, hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.final_norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, vocabulary, bias=False)
        self.checkpointing = False

    def forward(self, tokens):
        x = self.token_embedding(tokens) + self.position_embedding(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointing else block(x)
        return self.head(self.final_norm(x))


class PeakMemory:
    """The most memory this process has in a with block, MiB: proportional set size, sampled as ShardSharp's benchmark does."""

    def __enter__(self):
        self.peak, self.ended = 0.0, threading.Event()
        self.sampler = threading.Thread(target=self.sample)
        self.sampler.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.sampler.join()

    def sample(self):
        while True:
            with open("/proc/self/smaps_rollup") as lines:
                self.peak = max(self.peak, next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")))
            if self.ended.wait(0.01):
                return


def sharded(model):
    from torch.distributed.fsdp import fully_shard
    for block in model.blocks:
        fully_shard(block)
    return fully_shard(model)


def divided(model):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    parallelize_module(model, mesh, {
        "token_embedding": RowwiseParallel(input_layouts=Replicate()),
        "head": ColwiseParallel(output_layouts=Shard(-1), use_local_output=False),
    })
    for block in model.blocks:
        parallelize_module(block, mesh, {
            "attention.query": ColwiseParallel(), "attention.key": ColwiseParallel(), "attention.value": ColwiseParallel(),
            "attention.projection": RowwiseParallel(), "up": ColwiseParallel(), "down": RowwiseParallel(),
        })
    return model


def divided_loss(mode):
    if mode != "tp":
        return contextlib.nullcontext()
    from torch.distributed.tensor.parallel import loss_parallel
    return loss_parallel()


class Stage(nn.Module):
    """A run of the model's parts: the embeddings with the first, norm and head with the last."""

    def __init__(self, whole, blocks, is_first, is_last):
        super().__init__()
        self.embeddings = nn.ModuleList([whole.token_embedding, whole.position_embedding]) if is_first else None
        self.blocks = nn.ModuleList(blocks)
        self.ending = nn.Sequential(whole.final_norm, whole.head) if is_last else None

    def forward(self, x):
        if self.embeddings is not None:
            x = self.embeddings[0](x) + self.embeddings[1](torch.arange(x.shape[1]))
        for block in self.blocks:
            x = block(x)
        return x if self.ending is None else self.ending(x)


class Pipeline:
    """Two stages on two ranks, each with the parameters of its own alone."""

    def __init__(self, rank, arguments, whole):
        from torch.distributed.pipelining import PipelineStage, Schedule1F1B
        cut = arguments.cut or len(whole.blocks) // 2
        self.rank, self.arguments = rank, arguments
        self.module = Stage(whole, whole.blocks[:cut] if rank == 0 else whole.blocks[cut:], rank == 0, rank == 1)
        stage = PipelineStage(self.module, rank, 2, torch.device("cpu"))
        self.schedule = Schedule1F1B(
            stage, arguments.microbatches, loss_fn=lambda y, t: functional.cross_entropy(y.view(-1, arguments.vocab), t.reshape(-1)))

    def parameters(self):
        return self.module.parameters()

    def step(self, inputs, labels):
        losses = []
        if self.rank == 0:
            self.schedule.step(inputs)
        else:
            self.schedule.step(target=labels, losses=losses)
        loss = torch.tensor(statistics.fmean(each.item() for each in losses) if losses else 0.0)
        distributed.broadcast(loss, 1)
        return loss.item()


class Apart:
    """A rank of a pipeline with the whole model and its part of the batch, in turn with the pipeline's steps: the speed without communication."""

    def __init__(self, arguments):
        alone = dict(mode="single", batch=arguments.batch // arguments.ranks, microbatches=arguments.microbatches // arguments.ranks, ranks=1, bound=False)
        self.training, self.seconds = Training(0, argparse.Namespace(**{**vars(arguments), **alone})), []

    def step(self):
        distributed.barrier()
        self.seconds.append(self.training.step())
        distributed.barrier()


class Training:
    def __init__(self, rank, arguments):
        self.rank, self.arguments = rank, arguments
        torch.set_num_threads(arguments.threads)
        torch.manual_seed(arguments.seed)
        self.tokens = torch.Generator().manual_seed(arguments.seed)
        model = Gpt(arguments.vocab, arguments.seq, arguments.hidden, arguments.heads, arguments.layers)
        model.checkpointing = arguments.activation_checkpointing
        wrap = {"single": lambda whole: whole, "ddp": nn.parallel.DistributedDataParallel, "fsdp": sharded, "tp": divided,
                "pp": lambda whole: Pipeline(rank, arguments, whole)}
        self.model = wrap[arguments.mode](model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=arguments.fused or None)
        self.phases, self.losses = {"forward": 0.0, "backward": 0.0, "optimizer": 0.0}, []
        self.bound = Apart(arguments) if arguments.bound else None

    def draw(self):
        whole = torch.randint(self.arguments.vocab, (self.arguments.batch, self.arguments.seq), generator=self.tokens)
        if self.arguments.mode == "pp":
            return whole
        own = whole if self.arguments.mode == "tp" else whole.chunk(self.arguments.ranks)[self.rank]
        return own.chunk(self.arguments.microbatches)

    def step(self):
        inputs, labels = self.draw(), self.draw()
        began = time.perf_counter()
        self.optimizer.zero_grad()
        total = 0.0
        if self.arguments.mode == "pp":
            total, inputs, labels = self.model.step(inputs, labels), (), ()
        for index, (part, expected) in enumerate(zip(inputs, labels)):
            # DDP averages after the last microbatch alone; FSDP2 after each, since it keeps no whole gradients.
            accumulates = self.arguments.mode == "ddp" and index < len(inputs) - 1
            with self.model.no_sync() if accumulates else contextlib.nullcontext(), divided_loss(self.arguments.mode):
                mark = time.perf_counter()
                logits = self.model(part)
                loss = functional.cross_entropy(logits.flatten(0, 1), expected.reshape(-1))
                self.phases["forward"] += (split := time.perf_counter()) - mark
                (loss / len(inputs)).backward()
                self.phases["backward"] += time.perf_counter() - split
                total += loss.item() / len(inputs)
        mark = time.perf_counter()
        self.optimizer.step()
        self.phases["optimizer"] += time.perf_counter() - mark
        self.losses.append(total)
        return time.perf_counter() - began

    def run(self):
        with PeakMemory() as first:
            for _ in range(self.arguments.warmup):
                self.step()
                if self.bound:
                    self.bound.step()
        seconds = []
        for _ in range(self.arguments.steps):
            seconds.append(self.step())
            if self.bound:
                self.bound.step()
        with PeakMemory() as last:
            self.step()
        return seconds, max(first.peak, last.peak), self.losses[:-1]


def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def run(rank, arguments, port):
    if arguments.mode != "single":
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), USE_LIBUV="0")
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        distributed.init_process_group("gloo", rank=rank, world_size=arguments.ranks)
    training = Training(rank, arguments)
    seconds, peak, losses = training.run()
    results = [(seconds, peak, status("VmHWM"), losses, training.bound and training.bound.seconds[arguments.warmup:])]
    if arguments.mode != "single":
        mine, results = results[0], [None] * arguments.ranks
        distributed.all_gather_object(results, mine)
        distributed.destroy_process_group()
    if rank > 0:
        return
    seconds = max(statistics.median(result[0]) for result in results)
    print(json.dumps({
        "mode": f"pytorch-{arguments.mode}", "ranks": arguments.ranks, "threads": arguments.threads,
        "microbatches": arguments.microbatches, "step_s": seconds, "tokens_per_s": arguments.batch * arguments.seq / seconds,
        "peak_pss_mib": [result[1] for result in results], "peak_rss_mib": [result[2] for result in results],
        "losses": [statistics.fmean(each) for each in zip(*(result[3] for result in results))]}))
    if arguments.bound:
        tokens = arguments.batch * arguments.seq
        bounds = [sum(tokens / arguments.ranks / each for each in apart) for apart in zip(*(result[4] for result in results))]
        ratios = [tokens / max(both) / bound for bound, both in zip(bounds, zip(*(result[0] for result in results)))]
        print(json.dumps({"bound_tokens_per_s": statistics.median(bounds), "ratio": statistics.median(ratios),
                          "ratios": [round(ratio, 4) for ratio in ratios]}))
    if arguments.phases:
        steps = arguments.warmup + arguments.steps + 1
        print(json.dumps({name: total / steps for name, total in training.phases.items()}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=("single", "ddp", "fsdp", "tp", "pp"), default="single")
    for name, default in (("ranks", 1), ("threads", 1), ("vocab", 8192), ("seq", 256), ("hidden", 512), ("heads", 8), ("layers", 8),
                          ("batch", 8), ("microbatches", 4), ("steps", 10), ("warmup", 3), ("seed", 1234)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--cut", type=int, help="blocks on the first of two stages; half of them by default")
    parser.add_argument("--fused", action="store_true", help="the fused AdamW instead of PyTorch's default choice")
    parser.add_argument("--activation-checkpointing", action="store_true", help="checkpoint each block")
    parser.add_argument("--bound", action="store_true", help="after each step of a pipeline the ranks train apart, each with the whole model")
    parser.add_argument("--phases", action="store_true", help="print the time of each phase, in seconds")
    arguments = parser.parse_args()
    if arguments.bound and (arguments.mode != "pp" or arguments.microbatches % arguments.ranks):
        parser.error("--bound is for --mode pp with a number of microbatches that the ranks can share")
    if arguments.ranks > 1 and arguments.mode == "single":
        parser.error("several ranks need --mode ddp, fsdp, tp or pp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if arguments.mode == "pp" and arguments.ranks != 2:
        parser.error("--mode pp is for 2 ranks")
    if arguments.ranks == 1:
        run(0, arguments, port)
    else:
        multiprocessing.spawn(run, (arguments, port), arguments.ranks)


if __name__ == "__main__":
    main()
