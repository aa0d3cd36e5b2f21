//! The result as JSON: everything there is to know about a run, for `load compare` and for others.

use std::path::Path;

use super::Report;
use crate::error::Error;

/// Writes it to `path`.
pub(crate) fn write(report: &Report, path: &Path) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(report)
        .map_err(|error| Error::Misused(format!("writing JSON: {error}")))?;
    text.push('\n');
    std::fs::write(path, text).map_err(Error::io(format!("writing {}", path.display())))
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// [`Error::Misused`] when it is something else, or of another format.
pub(crate) fn read(path: &Path) -> Result<Report, Error> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(Error::io(format!("reading {name}")))?;
    let misused = |why: String| Error::Misused(format!("{name} is no result of this suite: {why}"));
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| misused(error.to_string()))?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(u64::from(Report::FORMAT)) {
        return Err(misused(format!(
            "it has format {format:?}, and {} is understood",
            Report::FORMAT
        )));
    }
    serde_json::from_value(value).map_err(|error| misused(error.to_string()))
}
