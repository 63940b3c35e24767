//! What tables and masks by stream have in common.

use ndarray::Array2;

use crate::core::{Kind, PlanError};

/// Every stream has `steps` rows, and none stands twice.
pub(crate) fn check_streams<T>(
    what: &str,
    steps: usize,
    streams: &[(Kind, Array2<T>)],
) -> Result<(), PlanError> {
    for (index, (kind, table)) in streams.iter().enumerate() {
        if *kind == Kind::TRUNK || streams[..index].iter().any(|(known, _)| known == kind) {
            let detail = format!("stream '{kind}' stands twice (the trunk is no stream)");
            return Err(PlanError::Sites { model: what.into(), detail });
        }
        if table.nrows() != steps {
            let (expected, found) = (vec![steps, table.ncols()], table.shape().to_vec());
            return Err(PlanError::Shape { what: format!("'{kind}' of {what}"), expected, found });
        }
    }
    Ok(())
}
