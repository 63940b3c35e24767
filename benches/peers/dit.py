"""One forward of a DiT in PyTorch; what it is told and answers is in README.md."""

import json
import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SIZES = {"s": (12, 384, 6), "b": (12, 768, 12), "l": (24, 1024, 16), "xl": (28, 1152, 16)}
CHANNELS, CLASSES, FREQUENCIES = 4, 1000, 256


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(c).unsqueeze(1).chunk(6, dim=2)
        x = x + gate1 * self.attention(normed(x) * (1 + scale1) + shift1)
        wide = F.gelu(self.mlp["fc1"](normed(x) * (1 + scale2) + shift2), approximate="tanh")
        return x + gate2 * self.mlp["fc2"](wide)

    def attention(self, x):
        batch, tokens, width = x.shape
        qkv = self.attn["qkv"](x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.attn["proj"](mixed.transpose(1, 2).reshape(batch, tokens, width))


class Dit(nn.Module):
    """The original's parameters under their names."""

    def __init__(self, depth, width, heads, patch, side):
        super().__init__()
        self.patch, self.grid = patch, side // patch
        self.x_embedder = nn.ModuleDict({"proj": nn.Conv2d(CHANNELS, width, patch, patch)})
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid**2, width))
        self.t_embedder = nn.ModuleDict(
            {"mlp": nn.Sequential(nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))}
        )
        self.y_embedder = nn.ModuleDict({"embedding_table": nn.Embedding(CLASSES + 1, width)})
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_layer = nn.ModuleDict(
            {
                "linear": nn.Linear(width, patch * patch * 2 * CHANNELS),
                "adaLN_modulation": nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width)),
            }
        )

    def forward(self, x, t, y):
        half = FREQUENCIES // 2
        angles = t[:, None] * torch.exp(-math.log(10_000) * torch.arange(half) / half)[None]
        time_vector = self.t_embedder["mlp"](torch.cat([angles.cos(), angles.sin()], dim=1))
        c = time_vector + self.y_embedder["embedding_table"](y)
        x = self.x_embedder["proj"](x).flatten(2).transpose(1, 2) + self.pos_embed
        for block in self.blocks:
            x = block(x, c)
        shift, scale = self.final_layer["adaLN_modulation"](c).unsqueeze(1).chunk(2, dim=2)
        x = self.final_layer["linear"](normed(x) * (1 + scale) + shift)
        p, grid = self.patch, self.grid
        x = x.reshape(-1, grid, grid, p, p, 2 * CHANNELS).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(-1, 2 * CHANNELS, grid * p, grid * p)


def normed(x):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def mixed(counter):
    """The output function of SplitMix64 at counters."""
    with np.errstate(over="ignore"):
        z = (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(seed, name, count, deviation):
    """`count` values that depend on the seed and the name alone."""
    state = mixed(np.array([seed], np.uint64))
    for byte in name.encode():
        state = mixed(state ^ np.uint64(byte))
    with np.errstate(over="ignore"):
        drawn = mixed(state + np.arange(count, dtype=np.uint64)) >> np.uint64(40)
    unit = drawn.astype(np.float32) / np.float32(1 << 24) - np.float32(0.5)
    return unit * (np.sqrt(np.float32(12)) * np.float32(deviation))


def positions(grid, width):
    quarter = width // 4
    omega = 10_000.0 ** -(np.arange(quarter) / quarter)
    row, column = np.mgrid[0:grid, 0:grid].reshape(2, -1, 1)
    parts = [np.sin(column * omega), np.cos(column * omega), np.sin(row * omega), np.cos(row * omega)]
    return np.concatenate(parts, axis=1).astype(np.float32)[None]


def drawn(model):
    """Puts the weights in."""
    for name, weight in model.named_parameters():
        if name == "pos_embed":
            values = positions(model.grid, weight.shape[-1])
        else:
            fan_in = math.prod(weight.shape[1:])
            deviation = 0.1 if weight.ndim == 1 else 1.0 if name.startswith("y_embedder") else 1 / math.sqrt(fan_in)
            values = uniform(1, name, weight.numel(), deviation).reshape(weight.shape)
        weight.copy_(torch.from_numpy(values))


@torch.inference_mode()
def main():
    name, threads = sys.argv[1], int(sys.argv[2])
    _, size, patch, pixels = name.split("-")
    torch.set_num_threads(threads)
    side = int(pixels) // 8
    with torch.no_grad():
        model = Dit(*SIZES[size], int(patch), side).eval()
        drawn(model)
    x = torch.sin(torch.arange(float(CHANNELS * side * side)) * 0.7).reshape(1, CHANNELS, side, side)
    x, t, y = x.repeat(2, 1, 1, 1), torch.full((2,), 500.0), torch.tensor([207, CLASSES])
    out = model(x, t, y)[:, :CHANNELS].flatten()
    values = out[:: out.numel() // 64][:64].tolist()
    print(json.dumps({"peer": "PyTorch", "version": torch.__version__, "values": values}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        model(x, t, y)
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True)


main()
