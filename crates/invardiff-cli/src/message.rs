//! The wording of errors in the program.

use anyhow::Error;
use invardiff::fault::with_causes;

/// An error with its causes, in one line. The library names the field of a setting; here it is replaced by the name of its flag.
pub(crate) fn message(error: &Error) -> String {
    let line = with_causes(error.as_ref());
    let setting = error.chain().find_map(|cause| cause.downcast_ref::<invardiff::Error>()?.as_setting());
    match setting {
        Some((field, problem)) => {
            let flag = field.replace('_', "-");
            line.replace(&format!("{field} {problem}"), &format!("--{flag} {problem}"))
        }
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_the_name_of_its_flag() {
        let refused = || invardiff::Error::setting("guidance_scale", "is NaN, expected a finite number");
        let expected = "--guidance-scale is NaN, expected a finite number";
        assert_eq!(message(&refused().into()), expected);
        assert_eq!(
            message(&Error::from(refused()).context("the model x")),
            format!("the model x: {expected}")
        );
        assert_eq!(message(&anyhow::anyhow!("other")), "other");
    }
}
