//! Export of the audit: all entries that fulfil the conditions, in the order of their ids, as lines of one format.
//! Pages are read one by one as they are asked for, so an export of any length holds one page.

mod csv;
mod ocsf;

use serde_json::json;

use super::Conditions;
use crate::core::{Core, Error};
use crate::model::{AuditEntry, AuditFilter, AuditId, AuditScope};

/// Entries read at once.
const PAGE: usize = 2000;
/// Bytes of a line, about.
const LINE: usize = 512;

/// The format of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Comma-separated values (RFC 4180) with a line of names, safe for spreadsheets.
    Csv,
    /// One event of the Open Cybersecurity Schema Framework a line.
    Ocsf,
}

/// An export in progress.
pub struct Export {
    filter: AuditFilter,
    format: Format,
    after: Option<AuditId>,
    has_begun: bool,
    has_ended: bool,
}

impl Export {
    /// An export of the entries that fulfil the conditions. Nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn new(conditions: &Conditions<'_>, format: Format) -> Result<Self, Error> {
        Ok(Self {
            filter: conditions.parse()?,
            format,
            after: None,
            has_begun: false,
            has_ended: false,
        })
    }

    /// The next lines; `None` after the last.
    ///
    /// # Errors
    /// [`Error::StoreAway`], [`Error::Overloaded`].
    pub async fn next(&mut self, core: &Core) -> Result<Option<Vec<u8>>, Error> {
        if self.has_ended {
            return Ok(None);
        }
        let entries = core
            .store
            .audit_after(AuditScope::All, &self.filter, self.after, PAGE)
            .await?;
        self.has_ended = entries.len() < PAGE;
        self.after = entries.last().map(|entry| entry.id).or(self.after);
        let mut lines = Vec::with_capacity(entries.len() * LINE);
        if !self.has_begun && self.format == Format::Csv {
            csv::write_names(&mut lines);
        }
        self.has_begun = true;
        for entry in &entries {
            match self.format {
                Format::Ndjson => write_json(&document(entry), &mut lines)?,
                Format::Csv => csv::write(entry, &mut lines),
                Format::Ocsf => write_json(&ocsf::event(entry), &mut lines)?,
            }
        }
        Ok(Some(lines))
    }
}

/// The entry with the members that the API gives.
fn document(entry: &AuditEntry) -> serde_json::Value {
    let actor = entry.actor_kind.as_ref().map(|kind| {
        json!({
            "kind": kind,
            "id": entry.actor_id,
            "sessionId": entry.actor_session_id,
            "keyId": entry.actor_key_id,
        })
    });
    json!({
        "id": entry.id,
        "action": entry.action,
        "success": entry.success,
        "userId": entry.user_id,
        "sessionId": entry.session_id,
        "actor": actor,
        "ipAddress": entry.ip_address,
        "userAgent": entry.user_agent,
        "requestId": entry.request_id,
        "details": entry.details,
        "createdAt": entry.created_at,
    })
}

fn write_json(document: &serde_json::Value, lines: &mut Vec<u8>) -> Result<(), Error> {
    serde_json::to_writer(&mut *lines, document)
        .map_err(|error| Error::Internal(error.to_string()))?;
    lines.push(b'\n');
    Ok(())
}
