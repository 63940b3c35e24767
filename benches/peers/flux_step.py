#!/usr/bin/env python3
"""One step of FLUX.1-dev in PyTorch, for comparison with `invardiff bench-model`'s full step.

The transformer of diffusers with random weights at 1024x1024 (4096 image tokens, 512 prompt tokens), attention by
torch.nn.functional.scaled_dot_product_attention. Prints one JSON object; full_step_ms is the median.

Needs torch with CUDA and diffusers >= 0.31: pip install torch diffusers
"""

import argparse
import json
import statistics
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bf16", choices=["f32", "f16", "bf16"])
    parser.add_argument("--pixels", type=int, default=1024)
    parser.add_argument("--text-tokens", type=int, default=512)
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--compile", action="store_true", help="torch.compile(mode='max-autotune')")
    parser.add_argument("--blocks", default="19,38", help="double-stream and single-stream blocks")
    return parser.parse_args()


def main():
    args = arguments()
    import torch
    from diffusers import FluxTransformer2DModel, __version__ as diffusers_version

    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[args.dtype]
    double, single = (int(count) for count in args.blocks.split(","))
    torch.manual_seed(0)
    with torch.device(args.device):
        torch.set_default_dtype(dtype)
        model = FluxTransformer2DModel(guidance_embeds=True, num_layers=double, num_single_layers=single).eval()
        torch.set_default_dtype(torch.float32)
        side = args.pixels // 16
        inputs = {
            "hidden_states": torch.randn(1, side * side, 64, dtype=dtype),
            "encoder_hidden_states": torch.randn(1, args.text_tokens, 4096, dtype=dtype),
            "pooled_projections": torch.randn(1, 768, dtype=dtype),
            "timestep": torch.full((1,), 0.9, dtype=dtype),
            "guidance": torch.full((1,), 3.5, dtype=torch.float32),
            "txt_ids": torch.zeros(args.text_tokens, 3),
            "img_ids": torch.cartesian_prod(torch.zeros(1), torch.arange(float(side)), torch.arange(float(side))),
        }
    if args.compile:
        model = torch.compile(model, mode="max-autotune")

    def wait():
        if args.device.startswith("cuda"):
            torch.cuda.synchronize()

    times = []
    with torch.inference_mode():
        for round_number in range(args.warm_up + args.rounds):
            wait()
            start = time.perf_counter()
            model(**inputs, return_dict=False)
            wait()
            if round_number >= args.warm_up:
                times.append((time.perf_counter() - start) * 1e3)
    on_cuda = args.device.startswith("cuda")
    print(json.dumps({
        "model": f"flux1-dev-{args.pixels}",
        "blocks": [double, single],
        "device": torch.cuda.get_device_name() if on_cuda else args.device,
        "dtype": args.dtype,
        "torch": torch.__version__,
        "diffusers": diffusers_version,
        "compiled": args.compile,
        "full_step_ms": statistics.median(times),
        "all_ms": times,
        "peak_bytes": torch.cuda.max_memory_allocated() if on_cuda else None,
    }, indent=2))


if __name__ == "__main__":
    main()
