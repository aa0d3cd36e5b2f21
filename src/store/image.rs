//! The encoding of a record's image: one JSON object whose members are the columns of its table.
//!
//! The same image stands in Redis, in the log and (row by row) in PostgreSQL, so nothing between them needs to know
//! what a record means. Nothing outside this file depends on the encoding, except the statements that spread an
//! image over the columns of a table (`postgres/statements.rs`).
//!
//! A record that was brought back after a loss may be older than a change that another instance still holds. So
//! images of the new incarnation begin with the version that was brought back, their base; PostgreSQL takes none of
//! them when it got something newer from elsewhere meanwhile (`postgres/queries/flush.rs`).

use std::sync::Arc;

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

/// Beginning of an image that has a base. No column has this name, so whoever reads the record skips it.
const BASE: &str = "{\"base_ver\":";

/// An image with a base: the version of an earlier incarnation upon which it was built.
pub(crate) fn with_base(image: &str, base: i64) -> Arc<str> {
    let members = image.strip_prefix('{').unwrap_or(image);
    format!("{BASE}{base},{members}").into()
}

/// The base of an image, when it has one.
pub(crate) fn base(image: &str) -> Option<i64> {
    let (base, _) = image.strip_prefix(BASE)?.split_once(',')?;
    base.parse().ok()
}
