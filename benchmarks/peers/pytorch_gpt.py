"""The benchmark GPT in PyTorch: the peer of `ShardSharp.Benchmarks -- train --mode single`.

Same model, initial parameters, tokens, optimizer and thread count, so the same losses; prints the same JSON object.

    python3 benchmarks/peers/pytorch_gpt.py --threads 2 --microbatches 1
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.projection = (nn.Linear(hidden, hidden) for _ in range(4))

    def forward(self, x):
        batch, length, hidden = x.shape

        def split(y):
            return y.view(batch, length, self.heads, hidden // self.heads).transpose(1, 2)

        y = functional.scaled_dot_product_attention(
            split(self.query(x)), split(self.key(x)), split(self.value(x)), is_causal=True)
        return self.projection(y.transpose(1, 2).reshape(batch, length, hidden))


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

    def forward(self, tokens):
        x = self.token_embedding(tokens) + self.position_embedding(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.final_norm(x))


def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def main():
    parser = argparse.ArgumentParser()
    for name, default in (("threads", 1), ("vocab", 8192), ("seq", 256), ("hidden", 512), ("heads", 8), ("layers", 8),
                          ("batch", 8), ("microbatches", 4), ("steps", 10), ("warmup", 3), ("seed", 1234)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--fused", action="store_true", help="the fused AdamW instead of PyTorch's default choice")
    parser.add_argument("--phases", action="store_true", help="print the time of each phase, in seconds")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    tokens = torch.Generator().manual_seed(arguments.seed)

    model = Gpt(arguments.vocab, arguments.seq, arguments.hidden, arguments.heads, arguments.layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=arguments.fused or None)
    times, losses, phases = [], [], {"forward": 0.0, "backward": 0.0, "optimizer": 0.0}

    for step in range(arguments.warmup + arguments.steps):
        inputs = torch.randint(arguments.vocab, (arguments.batch, arguments.seq), generator=tokens)
        labels = torch.randint(arguments.vocab, (arguments.batch, arguments.seq), generator=tokens)
        began = time.perf_counter()
        optimizer.zero_grad()
        total = 0.0
        for part, expected in zip(inputs.chunk(arguments.microbatches), labels.chunk(arguments.microbatches)):
            mark = time.perf_counter()
            logits = model(part)
            loss = functional.cross_entropy(logits.view(-1, arguments.vocab), expected.reshape(-1))
            phases["forward"] += (split := time.perf_counter()) - mark
            (loss / arguments.microbatches).backward()
            phases["backward"] += time.perf_counter() - split
            total += loss.item() / arguments.microbatches
        mark = time.perf_counter()
        optimizer.step()
        phases["optimizer"] += time.perf_counter() - mark
        times.append(time.perf_counter() - began)
        losses.append(total)

    seconds = statistics.median(times[arguments.warmup:])
    print(json.dumps({
        "mode": "pytorch", "ranks": 1, "threads": arguments.threads, "microbatches": arguments.microbatches, "step_s": seconds,
        "tokens_per_s": arguments.batch * arguments.seq / seconds, "peak_rss_mib": [status("VmHWM")], "losses": losses}))
    if arguments.phases:
        print(json.dumps({name: total / len(times) for name, total in phases.items()}))


main()
