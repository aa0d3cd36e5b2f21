//! `GET /audit`, `GET /admin/audit`, `GET /admin/audit/export`

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hyper::header::HeaderValue;
use serde::de::{Deserializer, Error as _, Unexpected};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::Principal;
use crate::core::permission::{Permission, Scope};
use crate::http::contract::access::Access;
use crate::http::contract::input::Query;
use crate::http::contract::prelude::*;
use crate::http::contract::text::Bounded;
use crate::model::{AuditEntry, AuditId, AuditScope, Id, SessionId, Timestamp, UserId};
use crate::platform::audit_log::{self, AuditPage, Conditions, Export, Format, From};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/audit", handler!(own))
        .titled(Tag::Audit, "listAudit", "What happened to the caller's account")
        .described(
            "Entries about the account, and of its acts upon others, the newest first; pages go back in time by \
             `cursor`, and `since` gives them in the order in which they arrived. Where somebody else acted, their address \
             and client are left out.",
        )
        .open_to(Access::Scope(Scope::AuditRead))
        .gives::<AuditData>(200)
        .refuses(&[Kind::Overloaded]),
    Route::get("/admin/audit", handler!(all))
        .titled(Tag::Audit, "listAllAudit", "What happened to any account")
        .described(
            "As `GET /audit`, over all accounts. Whoever pulls new entries begins with `since=start` and goes on with \
             `nextCursor`, also after an empty page; no entry is missed, however late it arrives.",
        )
        .open_to(Access::Permission(Permission::AuditRead))
        .gives::<AuditData>(200)
        .refuses(&[Kind::Overloaded]),
    Route::get("/admin/audit/export", handler!(export))
        .titled(Tag::Audit, "exportAudit", "All entries as a file")
        .described(
            "The filters of `GET /admin/audit`; the oldest entry first. `format` is `ndjson` (the default: one object of \
             the list a line), `csv`, or `ocsf` (Open Cybersecurity Schema Framework, one event a line). An answer that \
             breaks off is not whole: ask again with `from`.",
        )
        .open_to(Access::Permission(Permission::AuditRead))
        .shows_content("application/x-ndjson")
        .refuses(&[Kind::Overloaded]),
];

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8");
/// Most entries in one answer.
const MOST_LISTED: u16 = 200;
/// Entries in one answer without a wish.
const USUAL: u16 = 50;

/// Filters and place of a page.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditQuery {
    /// Most entries in this page.
    #[serde(default = "usual", deserialize_with = "page_size")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 200, example = 50)]
    limit: u16,
    /// `nextCursor` of the page before, with the same filters.
    #[schema(value_type = Option<String>, max_length = 64)]
    cursor: Option<Bounded<64>>,
    /// `start`, or `nextCursor` of the page before: entries in the order in which they arrived, the oldest first.
    #[schema(value_type = Option<String>, max_length = 64, example = "start")]
    since: Option<Bounded<64>>,
    /// Name of an event, or the beginning of some: `user.*`.
    #[schema(value_type = Option<String>, max_length = 64, example = "user.login")]
    action: Option<Bounded<64>>,
    /// Account that it is about.
    #[schema(value_type = Option<String>, format = Uuid)]
    user_id: Option<UserId>,
    /// Account that did it.
    #[schema(value_type = Option<String>, format = Uuid)]
    actor_id: Option<UserId>,
    /// Address or network of the client.
    #[schema(value_type = Option<String>, max_length = 64, example = "192.0.2.0/24")]
    ip: Option<Bounded<64>>,
    /// Whether it went through.
    success: Option<bool>,
    /// Earliest time.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Time before which it was.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Words, all of them, in action, user agent and details.
    #[schema(value_type = Option<String>, max_length = 200, example = "firefox")]
    q: Option<Bounded<200>>,
}

/// Filters and format of an export.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ExportQuery {
    /// The format of the lines.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(ndjson|csv|ocsf)$", example = "csv")]
    format: ExportFormat,
    /// Name of an event, or the beginning of some: `user.*`.
    #[schema(value_type = Option<String>, max_length = 64, example = "user.login")]
    action: Option<Bounded<64>>,
    /// Account that it is about.
    #[schema(value_type = Option<String>, format = Uuid)]
    user_id: Option<UserId>,
    /// Account that did it.
    #[schema(value_type = Option<String>, format = Uuid)]
    actor_id: Option<UserId>,
    /// Address or network of the client.
    #[schema(value_type = Option<String>, max_length = 64, example = "192.0.2.0/24")]
    ip: Option<Bounded<64>>,
    /// Whether it went through.
    success: Option<bool>,
    /// Earliest time.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Time before which it was.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Words, all of them, in action, user agent and details.
    #[schema(value_type = Option<String>, max_length = 200, example = "firefox")]
    q: Option<Bounded<200>>,
}

/// Format of an export.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExportFormat {
    #[default]
    Ndjson,
    Csv,
    Ocsf,
}

const fn usual() -> u16 {
    USUAL
}

/// Reads how many entries somebody wants at once.
fn page_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let size = u16::deserialize(deserializer).unwrap_or(0);
    if (1..=MOST_LISTED).contains(&size) {
        return Ok(size);
    }
    let allowed = format!("a number from 1 to {MOST_LISTED}");
    let found = Unexpected::Other("another");
    Err(D::Error::invalid_value(found, &allowed.as_str()))
}

impl AuditQuery {
    fn conditions(&self) -> Conditions<'_> {
        Conditions {
            action: self.action.as_ref().map(Bounded::as_str),
            user_id: self.user_id,
            actor_id: self.actor_id,
            ip: self.ip.as_ref().map(Bounded::as_str),
            success: self.success,
            from: self.from,
            to: self.to,
            q: self.q.as_ref().map(Bounded::as_str),
        }
    }

    fn from(&self) -> Result<From<'_>, Problem> {
        match (&self.cursor, &self.since) {
            (None, None) => Ok(From::Newest),
            (Some(cursor), None) => Ok(From::Cursor(cursor.as_str())),
            (None, Some(since)) => Ok(From::Since(since.as_str())),
            (Some(_), Some(_)) => Err(Problem::detailed(
                Kind::InvalidInput,
                "`cursor` goes back in time and `since` forwards: give one of them",
            )),
        }
    }
}

impl ExportQuery {
    fn conditions(&self) -> Conditions<'_> {
        Conditions {
            action: self.action.as_ref().map(Bounded::as_str),
            user_id: self.user_id,
            actor_id: self.actor_id,
            ip: self.ip.as_ref().map(Bounded::as_str),
            success: self.success,
            from: self.from,
            to: self.to,
            q: self.q.as_ref().map(Bounded::as_str),
        }
    }
}

/// Entries.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditData<'a> {
    entries: Vec<AuditItem<'a>>,
    /// `cursor` of the next page, null at the end; after `since`, its next value.
    next_cursor: Option<&'a str>,
}

/// One entry.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditItem<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: AuditId,
    /// Name of the event.
    #[schema(example = "user.login")]
    action: &'a str,
    /// Whether it went through.
    success: bool,
    /// Account that it is about.
    #[schema(value_type = Option<String>, format = Uuid)]
    user_id: Option<UserId>,
    /// Session of that account which it is about.
    #[schema(value_type = Option<String>, format = Uuid)]
    session_id: Option<SessionId>,
    /// Null in entries of older versions.
    actor: Option<ActorView<'a>>,
    #[schema(example = "192.0.2.7")]
    ip_address: Option<&'a str>,
    #[schema(example = "curl/8")]
    user_agent: Option<&'a str>,
    request_id: Option<&'a str>,
    /// Fields of the event.
    #[schema(value_type = Object, example = json!({ "method": "pwd" }))]
    details: &'a serde_json::Value,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// The one who did it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ActorView<'a> {
    /// `account`, `api_key`, `command_line`, `service` or `anonymous`.
    #[schema(example = "account")]
    kind: &'a str,
    /// Account that did it, itself or by one of its API keys.
    #[schema(value_type = Option<String>, format = Uuid)]
    id: Option<UserId>,
    /// Session by which it was done.
    #[schema(value_type = Option<String>, format = Uuid)]
    session_id: Option<SessionId>,
    /// API key by which it was done.
    #[schema(value_type = Option<String>, format = Uuid)]
    key_id: Option<Id>,
}

impl<'a> std::convert::From<&'a AuditEntry> for AuditItem<'a> {
    fn from(entry: &'a AuditEntry) -> Self {
        let actor = entry.actor_kind.as_deref().map(|kind| ActorView {
            kind,
            id: entry.actor_id,
            session_id: entry.actor_session_id,
            key_id: entry.actor_key_id,
        });
        Self {
            id: entry.id,
            action: &entry.action,
            success: entry.success,
            user_id: entry.user_id,
            session_id: entry.session_id,
            actor,
            ip_address: entry.ip_address.as_deref(),
            user_agent: entry.user_agent.as_deref(),
            request_id: entry.request_id.as_deref(),
            details: &entry.details,
            created_at: entry.created_at,
        }
    }
}

async fn own(call: Call, Query(query): Query<AuditQuery>) -> Result<Reply, Problem> {
    let account = match &call.principal {
        Some(Principal::Session(caller)) => caller.user.id,
        Some(Principal::ApiKey(key)) => key.user.id,
        None => return Err(Problem::new(Kind::Unauthenticated)),
    };
    let page = page(&call, AuditScope::Own(account), &query).await?;
    reply("Your audit", &page)
}

async fn all(call: Call, Query(query): Query<AuditQuery>) -> Result<Reply, Problem> {
    let page = page(&call, AuditScope::All, &query).await?;
    reply("The audit", &page)
}

async fn page(call: &Call, scope: AuditScope, query: &AuditQuery) -> Result<AuditPage, Problem> {
    let (from, conditions) = (query.from()?, query.conditions());
    let most = usize::from(query.limit);
    Ok(audit_log::search(call.core()?, scope, &conditions, from, most).await?)
}

fn reply(message: &str, page: &AuditPage) -> Result<Reply, Problem> {
    let data = AuditData {
        entries: page.entries.iter().map(Into::into).collect(),
        next_cursor: page.next.as_deref(),
    };
    Reply::ok(message, data)
}

async fn export(call: Call, Query(query): Query<ExportQuery>) -> Result<Reply, Problem> {
    let (format, media_type, name) = match query.format {
        ExportFormat::Ndjson => (Format::Ndjson, NDJSON, "audit.ndjson"),
        ExportFormat::Csv => (Format::Csv, CSV, "audit.csv"),
        ExportFormat::Ocsf => (Format::Ocsf, NDJSON, "audit.ocsf.ndjson"),
    };
    let mut export = Export::new(&query.conditions(), format)?;
    // An export that cannot even begin is answered as a problem.
    let first = export.next(call.core()?).await?;
    let rest = stream::try_unfold((export, call.state), async |(mut export, state)| {
        let core = state.core().map_err(|problem| format!("{problem:?}"))?;
        let lines = export.next(core).await.map_err(|error| error.to_string())?;
        Ok(lines.map(|lines| (Bytes::from(lines), (export, state))))
    });
    let first = stream::iter(first.map(|lines| Ok(Bytes::from(lines))));
    Ok(Reply::stream(media_type, Box::pin(first.chain(rest))).download(name))
}
