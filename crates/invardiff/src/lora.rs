//! LoRA files by name and strength.

use std::path::Path;

use invardiff_models::Lora;

use crate::error::{Error, Result};

/// Reads a LoRA file and its strength as a flag has them: `FILE`, which is at 1, or `FILE:STRENGTH`.
///
/// # Errors
/// When nothing is named, or the strength is no finite number.
pub fn parse_lora(text: &str) -> Result<Lora, String> {
    let named = text.rsplit_once(':').and_then(|(path, scale)| Some((path, scale.parse::<f32>().ok()?)));
    let (path, scale) = named.unwrap_or((text, 1.0));
    if path.is_empty() {
        return Err("no file is named; write FILE or FILE:STRENGTH, such as style.safetensors:0.8".into());
    }
    if !scale.is_finite() {
        return Err(format!("a strength of {scale} cannot be added"));
    }
    Ok(Lora::new(path, scale))
}

/// Refuses a file that is not there, before anything large is loaded.
///
/// # Errors
/// Names the file.
pub fn check_loras(loras: &[Lora]) -> Result<()> {
    for lora in loras {
        let path: &Path = &lora.path;
        if !path.exists() {
            return Err(Error::setting("lora", format_args!("{}: there is no such file", path.display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_a_strength() {
        assert_eq!(parse_lora("a.safetensors"), Ok(Lora::new("a.safetensors", 1.0)));
        assert_eq!(parse_lora("a.safetensors:0.75"), Ok(Lora::new("a.safetensors", 0.75)));
        assert_eq!(parse_lora("a.safetensors:-1"), Ok(Lora::new("a.safetensors", -1.0)));
        assert_eq!(parse_lora(r"C:\a.safetensors"), Ok(Lora::new(r"C:\a.safetensors", 1.0)));
        assert!(parse_lora("a.safetensors:inf").is_err());
        assert!(parse_lora(":0.5").is_err());
    }
}
