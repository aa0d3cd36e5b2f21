//! The encoding of a record's image: one JSON object whose members are the columns of its table.
//!
//! The same image stands in Redis, in the log and (row by row) in PostgreSQL, so nothing between them needs to know
//! what a record means. Nothing outside this file depends on the encoding, except the statements that spread an
//! image over the columns of a table (`postgres/statements.rs`).

use serde::Serialize;

use super::Error;
use super::record::Record;

/// The image of a record or an audit entry.
///
/// # Errors
/// [`Error::Corrupt`].
pub(crate) fn encode<T: Serialize>(record: &T) -> Result<String, Error> {
    serde_json::to_string(record).map_err(|error| Error::Corrupt(error.to_string()))
}

/// The record of an image.
///
/// # Errors
/// [`Error::Corrupt`].
pub(crate) fn decode<R: Record>(image: &str) -> Result<R, Error> {
    serde_json::from_str(image)
        .map_err(|error| Error::Corrupt(format!("{}: {error}", R::TABLE.kind)))
}
