"""Makes blocks.gguf, flux.gguf and t5.gguf, with what the `gguf` package (PyPI) reads in them as safetensors.

pip install gguf==0.19.0 ml_dtypes safetensors numpy; run in this folder."""
import numpy as np
import gguf
from gguf import GGMLQuantizationType as Q, quants
from ml_dtypes import float8_e4m3fn
from safetensors.numpy import load_file, save_file
import json, struct

rng = np.random.default_rng(17)

# One tensor per type: random bytes with scales of a moderate size.
BLOCKS = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.IQ4_NL, Q.IQ4_XS]
HALVES = {Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0], Q.Q2_K: [80, 82], Q.Q3_K: [108],
          Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208], Q.IQ4_NL: [0], Q.IQ4_XS: [0]}
writer, expected = gguf.GGUFWriter("blocks.gguf", "flux"), {}
for kind in BLOCKS:
    count, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (2, 512 // count, size), dtype=np.uint8)
    for at in HALVES[kind]:
        scales = rng.uniform(-0.1, 0.1, blocks.shape[:2] + (1,)).astype(np.float16)
        blocks[..., at:at + 2] = scales.view(np.uint8)
    stored = blocks.reshape(2, -1)
    writer.add_tensor(kind.name, stored, raw_dtype=kind)
    expected[kind.name] = quants.dequantize(stored, kind).reshape(2, 512).astype(np.float32)
bf16 = rng.standard_normal((2, 512)).astype(np.float32)
stored = quants.quantize(bf16, Q.BF16)
writer.add_tensor("BF16", stored, raw_dtype=Q.BF16)
expected["BF16"] = quants.dequantize(stored, Q.BF16)
writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
save_file(expected, "blocks.safetensors")


def fp8(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + n])
    out = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        a, b = info["data_offsets"]
        kind = {"F8_E4M3": float8_e4m3fn, "F32": np.float32}[info["dtype"]]
        out[name] = np.frombuffer(raw[8 + n + a:8 + n + b], kind).astype(np.float32).reshape(info["shape"])
    return out


def write(path, arch, tensors, kinds, settings=()):
    writer, plain = gguf.GGUFWriter(path + ".gguf", arch), {}
    for name, value in settings:
        getattr(writer, "add_float32" if isinstance(value, float) else "add_uint32")(name, value)
    for i, (name, x) in enumerate(sorted(tensors.items())):
        kind = kinds[i % len(kinds)] if x.ndim == 2 and x.shape[1] % 32 == 0 else Q.F32
        stored = quants.quantize(x, kind)
        writer.add_tensor(name, stored, raw_dtype=kind)
        plain[name] = quants.dequantize(stored, kind).reshape(x.shape).astype(np.float32)
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
    return plain


# A FLUX in the types that its files have.
kinds = [Q.Q8_0, Q.Q4_0, Q.Q5_0, Q.Q5_1, Q.Q4_1, Q.F16, Q.BF16]
plain = write("flux", "flux", fp8("model/flux1-dev-fp8.safetensors"), kinds)
save_file(plain, "flux.safetensors")

# A T5 encoder under the names of llama.cpp; its values are those of tests/data/text_tiny.
NAMES = {"shared.weight": "token_embd.weight", "encoder.final_layer_norm.weight": "enc.output_norm.weight"}
PARTS = {"0.SelfAttention.relative_attention_bias": "attn_rel_b", "0.SelfAttention.q": "attn_q", "0.SelfAttention.k": "attn_k",
         "0.SelfAttention.v": "attn_v", "0.SelfAttention.o": "attn_o", "0.layer_norm": "attn_norm", "1.layer_norm": "ffn_norm",
         "1.DenseReluDense.wi_0": "ffn_gate", "1.DenseReluDense.wi_1": "ffn_up", "1.DenseReluDense.wo": "ffn_down"}
def llama(key):
    if key in NAMES:
        return NAMES[key]
    layer, part = key[len("encoder.block."):-len(".weight")].split(".layer.")
    return f"enc.blk.{layer}.{PARTS[part]}.weight"
source, c = load_file("../text_tiny/t5.safetensors"), json.load(open("../text_tiny/t5_config.json"))
settings = [("t5encoder.embedding_length", c["d_model"]), ("t5encoder.attention.key_length", c["d_kv"]),
            ("t5encoder.feed_forward_length", c["d_ff"]), ("t5encoder.block_count", c["num_layers"]),
            ("t5encoder.attention.head_count", c["num_heads"]),
            ("t5encoder.attention.relative_buckets_count", c["relative_attention_num_buckets"]),
            ("t5encoder.attention.layer_norm_rms_epsilon", float(c.get("layer_norm_epsilon", 1e-6)))]
plain = write("t5", "t5encoder", {llama(k): v for k, v in source.items()}, [Q.Q8_0, Q.Q5_0], settings)
save_file({k: plain[llama(k)] for k in source}, "t5.safetensors")
