//! The wording of errors in the program.

use anyhow::Error;
use invardiff::fault::with_causes_as;

/// An error with its causes, in one line. The libraries name the field of a setting; here it is replaced by the name of its flag.
pub(crate) fn message(error: &Error) -> String {
    with_causes_as(error.as_ref(), flagged)
}

/// An error in its own words, with a flag where it begins with a field.
fn flagged(error: &(dyn std::error::Error + 'static)) -> String {
    let said = error.to_string();
    match field(error).and_then(|field| Some((field, said.strip_prefix(field)?))) {
        Some((field, rest)) => format!("--{}{rest}", field.replace('_', "-")),
        None => said,
    }
}

/// The field of an error of the library or the lab.
fn field(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<invardiff_lab::Error>() {
        return error.field();
    }
    let boxed = || error.downcast_ref::<Box<invardiff::Error>>().map(AsRef::as_ref);
    error.downcast_ref::<invardiff::Error>().or_else(boxed)?.field()
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
        assert_eq!(message(&invardiff_lab::Error::from(refused()).into()), expected);
        assert_eq!(message(&anyhow::anyhow!("other")), "other");
    }

    #[test]
    fn a_cause_is_not_said_twice() {
        let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let quoting = invardiff_plan::PlanError::Io { path: "p.json".into(), source: missing() };
        assert_eq!(message(&Error::from(quoting).context("--plan")), "--plan: p.json: no such file");
        let plain = Error::from(missing()).context("weights").context("--model");
        assert_eq!(message(&plain), "--model: weights: no such file");
    }

    #[test]
    fn a_setting_stays_named_when_something_below_it_failed() {
        let below = || invardiff::Error::Model("there is no such file".into());
        let named = below().in_setting("model", "none.pt");
        assert_eq!(message(&named.into()), "--model none.pt: there is no such file");
        let twice = invardiff::Error::setting("eta", "is 2").in_setting("plan", "");
        assert_eq!(message(&invardiff_lab::Error::from(twice).into()), "--plan: --eta is 2");
    }
}
