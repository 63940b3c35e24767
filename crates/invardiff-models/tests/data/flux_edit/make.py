"""Makes io.safetensors and fill.safetensors: what diffusers makes of an edit of a reference image (FLUX.1-Kontext) and of a mask that
is filled in (FLUX.1-Fill), with the tiny weights of ../flux_tiny and, to fill in, another first layer.

pip install torch==2.15.0 diffusers==0.42.1 transformers safetensors; run in this folder."""
import json
import torch
from diffusers import FluxFillPipeline, FluxKontextPipeline, FluxTransformer2DModel
from safetensors.torch import load_file, save_file

ROWS, COLUMNS, REFERENCE, TEXT = 4, 6, (3, 2), 7
draw = torch.Generator().manual_seed(4324)
config = json.load(open("../flux_tiny/config.json"))
config = {k: v for k, v in config.items() if not k.startswith("_")}
weights = load_file("../flux_tiny/diffusion_pytorch_model.safetensors")


def model(**changes):
    flux = FluxTransformer2DModel(**{**config, **changes}).eval()
    flux.load_state_dict({**weights, **first(changes)})
    return flux


def first(changes):
    return {"x_embedder.weight": fill} if changes else {}


def normal(*shape):
    return torch.randn(*shape, generator=draw)


channels, heads = config["in_channels"], config["num_attention_heads"] * config["attention_head_dim"]
fill = normal(heads, 2 * channels + 256) / (2 * channels + 256) ** 0.5
io = {
    "hidden_states": normal(1, ROWS * COLUMNS, channels),
    "encoder_hidden_states": normal(1, TEXT, config["joint_attention_dim"]),
    "pooled_projections": normal(1, config["pooled_projection_dim"]),
    "timestep": torch.tensor([0.7]),
    "guidance": torch.tensor([2.5]),
    "reference": normal(1, REFERENCE[0] * REFERENCE[1], channels),
    "masked": normal(1, channels // 4, 2 * ROWS, 2 * COLUMNS),
    "mask": (torch.rand(1, 1, 16 * ROWS, 16 * COLUMNS, generator=draw) < 0.5).float(),
}


def run(flux, hidden_states, img_ids):
    with torch.no_grad():
        return flux(
            hidden_states=hidden_states, encoder_hidden_states=io["encoder_hidden_states"],
            pooled_projections=io["pooled_projections"], timestep=io["timestep"], guidance=io["guidance"],
            img_ids=img_ids, txt_ids=torch.zeros(TEXT, 3), return_dict=False,
        )[0]


# As FluxKontextPipeline: the reference's tokens after the noise, at positions of another index, and cut off again.
ids = FluxKontextPipeline._prepare_latent_image_ids
own, other = ids(1, ROWS, COLUMNS, "cpu", torch.float32), ids(1, *REFERENCE, "cpu", torch.float32)
other[..., 0] = 1
tokens = torch.cat([io["hidden_states"], io["reference"]], 1)
io["kontext.out"] = run(model(), tokens, torch.cat([own, other], 0))[:, : ROWS * COLUMNS].contiguous()


# As FluxFillPipeline: masked latents and mask are further channels. It packs them itself.
class Sizes:
    vae_scale_factor = 8
    _pack_latents = staticmethod(FluxFillPipeline._pack_latents)
    vae = None


class Vae:
    class config:
        shift_factor, scaling_factor = 0.0, 1.0


sizes = Sizes()
sizes.vae = Vae
mask, masked = FluxFillPipeline.prepare_mask_latents(
    sizes, io["mask"], io["masked"], 1, channels // 4, 1, 16 * ROWS, 16 * COLUMNS, torch.float32, "cpu", None
)
io["fill.image"] = torch.cat([masked, mask], -1).contiguous()
flux = model(in_channels=2 * channels + 256, out_channels=channels)
io["fill.out"] = run(flux, torch.cat([io["hidden_states"], io["fill.image"]], 2), own)
io["mask"] = io["mask"].to(torch.uint8)
save_file(io, "io.safetensors")
save_file({"x_embedder.weight": fill}, "fill.safetensors")
