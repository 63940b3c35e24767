//! Recognises quantised weights that cannot be read, by the keys beside them.

/// Suffixes of keys that only a quantised file has, and the quantisation each stands for.
const MARKS: [(&str, &str); 14] = [
    (".quant_state.bitsandbytes__nf4", "bitsandbytes (NF4)"),
    (".quant_state.bitsandbytes__fp4", "bitsandbytes (FP4)"),
    (".absmax", "bitsandbytes (4 bits)"),
    (".SCB", "bitsandbytes (LLM.int8)"),
    (".qzeros", "GPTQ or AWQ"),
    (".wscales", "SVDQuant (Nunchaku)"),
    (".smooth_factor", "SVDQuant (Nunchaku)"),
    (".qweight", "GPTQ, AWQ or SVDQuant"),
    (".weight_scale_2", "NVFP4"),
    (".weight_packed", "compressed-tensors"),
    (".weight._data", "Quanto"),
    (".weight._packed", "Quanto"),
    (".weight:qdata", "torchao"),
    (".comfy_quant", "ComfyUI, in a type that is not fp8"),
];

/// The message for a quantised file: its quantisation, and what to do. `None` if no key tells.
pub(super) fn refusal<'a>(keys: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let what = MARKS.iter().find(|(end, _)| keys.clone().any(|key| key.ends_with(end)))?.1;
    Some(format!(
        "the weights are quantised by {what}, which is not read here: take the same model in bf16, in fp8 or as GGUF \
         (Q8_0, Q6_K, Q5_K, Q4_K ..)"
    ))
}
