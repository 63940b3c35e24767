"""Makes fp8.safetensors, weights of 8 bits with every kind of scale, and fp8_values.safetensors, what torch makes of them in f32.

pip install torch==2.15.0 safetensors; run in this folder."""
import torch
from safetensors.torch import save_file

torch.manual_seed(17)
stored, values = {}, {}


def add(name, weight, scale_name=None, scale=None):
    stored[f"{name}.weight"] = weight
    value = weight.to(torch.float32)
    if scale_name:
        stored[f"{name}.{scale_name}"] = scale
        if scale.dim() == 2 and scale.shape[1] > 1:  # one scale for each block of 128 x 128
            scale = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
            scale = scale[: weight.shape[0], : weight.shape[1]]
        value = value * scale
    values[f"{name}.weight"] = value


def every(kind, rows):
    """Every value of a type but NaN and infinities."""
    bits = torch.arange(256, dtype=torch.uint8).view(kind)
    return bits.view(torch.uint8)[bits.to(torch.float32).isfinite()].view(kind).reshape(rows, -1)


e4m3, e5m2 = torch.float8_e4m3fn, torch.float8_e5m2
add("e4m3", every(e4m3, 2))
add("e5m2", every(e5m2, 2))
add("comfy", every(e4m3, 2), "scale_weight", torch.tensor([0.0173]))
add("scalar", every(e5m2, 2), "weight_scale", torch.tensor(3.7e-3))
add("rows", torch.randn(24, 40).to(e4m3), "weight_scale", torch.rand(24, 1) * 0.1)
add("blocks", torch.randn(130, 129).to(e4m3), "weight_scale_inv", torch.rand(2, 2) * 0.1)
stored["scaled_fp8"] = torch.zeros(2, dtype=e4m3)
save_file(stored, "fp8.safetensors")
save_file(values, "fp8_values.safetensors")
