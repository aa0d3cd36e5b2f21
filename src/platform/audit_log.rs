//! Reading of the audit: by owners their own entries, by those with the permission all.

mod conditions;
mod export;

pub use conditions::Conditions;
pub use export::{Export, Format};

use crate::core::{Core, Error, FieldError};
use crate::model::{AuditEntry, AuditFilter, AuditId, AuditScope, Id};

/// First byte of a cursor backwards in time.
const BACKWARDS: u8 = b'b';
/// First byte of a cursor forwards in the order of arrival.
const FORWARDS: u8 = b'f';
/// `since` of whoever reads everything from the first entry on.
const START: &str = "start";

/// The start of a page.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    /// At the newest entry, and back in time from there.
    Newest,
    /// After the page whose cursor this is, back in time.
    Cursor(&'a str),
    /// At the first entry to arrive (`start`), or after the page whose cursor this is, in the order of arrival.
    Since(&'a str),
}

/// A page of entries.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Cursor of the next page. `None` at the end of a list back in time.
    pub next: Option<String>,
}

/// A page of at most `most` entries that a reader may see and that fulfil the conditions.
///
/// # Errors
/// [`Error::Invalid`]; [`Error::StoreAway`] while PostgreSQL is away, [`Error::Overloaded`] when it takes too long.
pub async fn search(
    core: &Core,
    scope: AuditScope,
    conditions: &Conditions<'_>,
    from: From<'_>,
    most: usize,
) -> Result<AuditPage, Error> {
    let filter = conditions.parse()?;
    let list = list(scope, &filter)?;
    let mut page = match from {
        From::Since(since) => {
            let after = if since == START {
                0
            } else {
                let start = open(core, since, &list, "since", FORWARDS)?;
                i64::from_be_bytes(*start.first_chunk().unwrap_or(&[0; 8]))
            };
            forwards(core, scope, &filter, &list, after, most).await?
        }
        From::Newest => backwards(core, scope, &filter, &list, None, most).await?,
        From::Cursor(cursor) => {
            let start = open(core, cursor, &list, "cursor", BACKWARDS)?;
            let before = AuditId::from(Id::from_bytes(start));
            backwards(core, scope, &filter, &list, Some(before), most).await?
        }
    };
    if let AuditScope::Own(account) = scope {
        let entries = page.entries.into_iter();
        page.entries = entries.map(|entry| entry.seen_by(account)).collect();
    }
    Ok(page)
}

async fn backwards(
    core: &Core,
    scope: AuditScope,
    filter: &AuditFilter,
    list: &[u8],
    before: Option<AuditId>,
    most: usize,
) -> Result<AuditPage, Error> {
    // One more tells whether there is a next page.
    let mut entries = core
        .store
        .audit_before(scope, filter, before, most + 1)
        .await?;
    let is_last = entries.len() <= most;
    entries.truncate(most);
    let last = entries.last().filter(|_| !is_last);
    let next = last.map(|last| seal(core, BACKWARDS, last.id.id().to_bytes(), list));
    Ok(AuditPage { entries, next })
}

async fn forwards(
    core: &Core,
    scope: AuditScope,
    filter: &AuditFilter,
    list: &[u8],
    after: i64,
    most: usize,
) -> Result<AuditPage, Error> {
    let (entries, seen) = core.store.audit_since(scope, filter, after, most).await?;
    let mut start = [0; 16];
    start[..8].copy_from_slice(&seen.to_be_bytes());
    let next = Some(seal(core, FORWARDS, start, list));
    Ok(AuditPage { entries, next })
}

/// Description of a list, which its cursors are bound to.
fn list(scope: AuditScope, filter: &AuditFilter) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(&("audit", scope, filter))
        .map_err(|error| Error::Internal(error.to_string()))
}

fn seal(core: &Core, direction: u8, start: [u8; 16], list: &[u8]) -> String {
    let mut whole = [direction; 17];
    whole[1..].copy_from_slice(&start);
    core.cursors.seal(whole, list)
}

fn open(
    core: &Core,
    cursor: &str,
    list: &[u8],
    field: &'static str,
    direction: u8,
) -> Result<[u8; 16], Error> {
    let invalid = || {
        Error::Invalid(vec![FieldError {
            field,
            code: "invalid",
            message: "must be the nextCursor of a page with the same filters".to_owned(),
        }])
    };
    let [known, start @ ..] = core.cursors.open(cursor, list).map_err(|_| invalid())?;
    if known != direction {
        return Err(invalid());
    }
    Ok(start)
}
