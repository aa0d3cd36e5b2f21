//! Pages of audit entries. Each statement is made of the conditions that were given, and planned for their values: a
//! plan that serves every value serves none well here.

use std::time::Duration;

use sqlx::postgres::Postgres as Database;
use sqlx::types::Uuid;
use sqlx::{Connection as _, QueryBuilder};

use crate::model::{
    AuditEntry, AuditFilter, AuditId, AuditScope, Id, SessionId, Timestamp, UserId,
};
use crate::store::Error;
use crate::store::postgres::{Failure, Postgres};

/// Longest that a page may take, so that connections come back: PostgreSQL itself gives up earlier.
const PAGE: Duration = Duration::from_secs(25);
/// Longest wait for one of the few connections that pages may use at once.
const TURN: Duration = Duration::from_secs(2);
/// Sent first: bounds the work, and plans for the values at hand.
const BOUNDS: &str = "SET LOCAL statement_timeout = '2s'; SET LOCAL plan_cache_mode = force_custom_plan; \
                      SET LOCAL jit = off";
/// As [`BOUNDS`], for an export, which is a stream that may be silent for 30 s.
const PATIENT_BOUNDS: &str = "SET LOCAL statement_timeout = '20s'; SET LOCAL plan_cache_mode = force_custom_plan; \
                              SET LOCAL jit = off";
/// Positions that are looked at for one page of those that arrived, however few entries fit.
const WINDOW: i64 = 10_000;
/// Most by which the time in an id and the time of its event differ: a request's duration.
const DRIFT: Duration = Duration::from_mins(10);
const COLUMNS: &str = "a.id, a.action, a.success, a.user_id, a.session_id, a.actor_kind, a.actor_id, \
     a.actor_session_id, a.actor_key_id, host(a.ip_address) AS ip_address, a.user_agent, a.request_id, \
     a.details::text AS details, (extract(epoch FROM a.created_at) * 1000000)::bigint AS created_at";

/// A row of a page.
#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    action: String,
    success: bool,
    user_id: Option<Uuid>,
    session_id: Option<Uuid>,
    actor_kind: Option<String>,
    actor_id: Option<Uuid>,
    actor_session_id: Option<Uuid>,
    actor_key_id: Option<Uuid>,
    ip_address: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    details: String,
    created_at: i64,
    #[sqlx(default)]
    position: i64,
}

/// A part of the entries that one index finds in order.
#[derive(Clone, Copy)]
enum Part {
    /// All of them.
    Whole,
    /// Those about an account.
    About(UserId),
    /// Those of an account's acts that are not about itself.
    UponOthers(UserId),
}

impl Postgres {
    /// The newest entries before `before`, the newest first.
    pub(crate) async fn audit_before(
        &self,
        scope: AuditScope,
        filter: &AuditFilter,
        before: Option<AuditId>,
        most: usize,
    ) -> Result<Vec<AuditEntry>, Error> {
        let sql = by_id(scope, filter, Order::Backwards, before, most);
        let rows = self.audit_page(sql, BOUNDS).await?;
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }

    /// The oldest entries after `after`, the oldest first. May take longer than a page that somebody waits for.
    pub(crate) async fn audit_after(
        &self,
        scope: AuditScope,
        filter: &AuditFilter,
        after: Option<AuditId>,
        most: usize,
    ) -> Result<Vec<AuditEntry>, Error> {
        let sql = by_id(scope, filter, Order::Forwards, after, most);
        let rows = self.audit_page(sql, PATIENT_BOUNDS).await?;
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }

    /// Entries that arrived after the position `after`, in the order of their arrival, and the position up to which
    /// all were looked at.
    pub(crate) async fn audit_since(
        &self,
        scope: AuditScope,
        filter: &AuditFilter,
        after: i64,
        most: usize,
    ) -> Result<(Vec<AuditEntry>, i64), Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let end = match scope {
            // The positions of one account's entries are few; of all, a window is looked at.
            AuditScope::Own(_) => i64::MAX,
            AuditScope::All => {
                let last = self.ask_if_up("audit_position", async |connection| {
                    sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM audit_positions")
                        .fetch_one(connection)
                        .await
                });
                let last: i64 = last.await?;
                last.min(after.saturating_add(WINDOW)).max(after)
            }
        };
        let mut sql = QueryBuilder::new("SELECT * FROM (");
        for (index, part) in parts(scope, filter).into_iter().enumerate() {
            let union = if index == 0 { "" } else { " UNION ALL " };
            sql.push(union).push("SELECT ").push(COLUMNS);
            sql.push(
                ", p.position FROM audit_positions p JOIN audit_logs a ON a.id = p.entry_id WHERE p.position > ",
            );
            sql.push_bind(after);
            sql.push(" AND p.position <= ").push_bind(end);
            narrow(&mut sql, scope, filter, part);
        }
        sql.push(") AS found ORDER BY position LIMIT ");
        sql.push_bind(most);
        let rows = self.audit_page(sql, BOUNDS).await?;
        let last = rows.last().map(|row| row.position);
        let seen = match (last, scope) {
            (Some(last), _) if rows.len() == usize::try_from(most).unwrap_or(0) => last,
            (_, AuditScope::All) => end,
            (last, AuditScope::Own(_)) => last.unwrap_or(after),
        };
        Ok((rows.into_iter().map(AuditEntry::from).collect(), seen))
    }

    /// Runs the statement of a page within its bounds, and leaves connections to the writes.
    async fn audit_page(
        &self,
        mut sql: QueryBuilder<Database>,
        bounds: &'static str,
    ) -> Result<Vec<Row>, Error> {
        if !self.is_up() {
            return Err(Error::Unavailable("postgres"));
        }
        let turn = tokio::time::timeout(TURN, self.audit_readers.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Error::Busy);
        };
        let rows = self.run("audit_page", PAGE, async |connection| {
            let mut transaction = connection.begin().await?;
            sqlx::raw_sql(bounds).execute(&mut *transaction).await?;
            let rows = sql.build_query_as::<Row>().persistent(false);
            let rows = rows.fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(rows)
        });
        rows.await.map_err(|error| match Failure::of(&error) {
            Failure::Blocked => Error::Busy,
            Failure::Taken { .. } | Failure::Refused { .. } => Error::Corrupt(error.to_string()),
            Failure::Away | Failure::Collision => Error::Unavailable("postgres"),
        })
    }
}

/// The order of ids in a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Backwards,
    Forwards,
}

/// The statement of a page in the order of ids, from the one after `start`.
fn by_id(
    scope: AuditScope,
    filter: &AuditFilter,
    order: Order,
    start: Option<AuditId>,
    most: usize,
) -> QueryBuilder<Database> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (beyond, sorted) = match order {
        Order::Backwards => (" AND a.id < ", "id DESC LIMIT "),
        Order::Forwards => (" AND a.id > ", "id LIMIT "),
    };
    let mut sql = QueryBuilder::new("SELECT * FROM (");
    for (index, part) in parts(scope, filter).into_iter().enumerate() {
        let union = if index == 0 { "(" } else { " UNION ALL (" };
        sql.push(union).push("SELECT ").push(COLUMNS);
        sql.push(" FROM audit_logs a WHERE true");
        narrow(&mut sql, scope, filter, part);
        if let Some(start) = start {
            sql.push(beyond).push_bind(start.id().uuid());
        }
        sql.push(" ORDER BY a.").push(sorted).push_bind(most);
        sql.push(")");
    }
    sql.push(") AS found ORDER BY ")
        .push(sorted)
        .push_bind(most);
    sql
}

/// The parts that together are the entries of an account, or all.
fn parts(scope: AuditScope, filter: &AuditFilter) -> Vec<Part> {
    let account = match scope {
        AuditScope::Own(account) => Some(account),
        AuditScope::All => filter.actor_id,
    };
    match account {
        Some(account) => vec![Part::About(account), Part::UponOthers(account)],
        None => vec![Part::Whole],
    }
}

/// Adds the conditions.
fn narrow(sql: &mut QueryBuilder<Database>, scope: AuditScope, filter: &AuditFilter, part: Part) {
    match part {
        Part::Whole => {}
        Part::About(account) => {
            sql.push(" AND a.user_id = ").push_bind(account.id().uuid());
        }
        Part::UponOthers(account) => {
            sql.push(" AND a.actor_id IS DISTINCT FROM a.user_id AND a.actor_id = ");
            sql.push_bind(account.id().uuid());
        }
    }
    if let Some(user) = filter.user_id {
        sql.push(" AND a.user_id = ").push_bind(user.id().uuid());
    }
    if let Some(actor) = filter.actor_id {
        sql.push(" AND a.actor_id = ").push_bind(actor.id().uuid());
    }
    match filter.actions.as_deref() {
        None => {}
        Some([action]) => {
            sql.push(" AND a.action = ").push_bind(action.row().name);
        }
        Some(actions) => {
            let names: Vec<&str> = actions.iter().map(|action| action.row().name).collect();
            sql.push(" AND a.action = ANY(").push_bind(names).push(")");
        }
    }
    if let Some(success) = filter.success {
        sql.push(" AND a.success = ").push_bind(success);
    }
    narrow_origin(sql, scope, filter);
    if let Some(from) = filter.from {
        sql.push(" AND a.created_at >= ")
            .push_bind(from.to_string());
        sql.push("::text::timestamptz AND a.id >= ");
        sql.push_bind(least_id(from.before(DRIFT)).uuid());
    }
    if let Some(to) = filter.to {
        sql.push(" AND a.created_at < ").push_bind(to.to_string());
        sql.push("::text::timestamptz AND a.id < ");
        sql.push_bind(least_id(to.after(DRIFT)).uuid());
    }
}

/// Adds the conditions over the client. An owner must not find out by them what is not shown of others who acted.
fn narrow_origin(sql: &mut QueryBuilder<Database>, scope: AuditScope, filter: &AuditFilter) {
    if let (AuditScope::Own(account), true) =
        (scope, filter.network.is_some() || filter.words.is_some())
    {
        sql.push(" AND (a.actor_id IS NULL OR a.actor_id = ");
        sql.push_bind(account.id().uuid()).push(")");
    }
    if let Some(network) = filter.network {
        let is_address = network.prefix_len() == network.max_prefix_len();
        sql.push(if is_address {
            " AND a.ip_address = "
        } else {
            " AND a.ip_address <<= "
        });
        let text = if is_address {
            network.addr().to_string()
        } else {
            network.to_string()
        };
        sql.push_bind(text).push("::text::inet");
    }
    if let Some(words) = &filter.words {
        // The same characters separate words in the column `search`.
        sql.push(" AND a.search @@ plainto_tsquery('simple', translate(");
        sql.push_bind(words.clone());
        sql.push("::text, './_-\":{}[](),;@+=', repeat(' ', 18)))");
    }
}

/// The least id of a time.
fn least_id(at: Timestamp) -> Id {
    let millis = u64::try_from(at.micros() / 1000).unwrap_or(0);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    Id::from_bytes(bytes)
}

impl From<Row> for AuditEntry {
    fn from(row: Row) -> Self {
        let user = |id: Option<Uuid>| id.map(|id| UserId::from(Id::from(id)));
        let session = |id: Option<Uuid>| id.map(|id| SessionId::from(Id::from(id)));
        Self {
            id: AuditId::from(Id::from(row.id)),
            action: row.action,
            success: row.success,
            user_id: user(row.user_id),
            session_id: session(row.session_id),
            actor_kind: row.actor_kind,
            actor_id: user(row.actor_id),
            actor_session_id: session(row.actor_session_id),
            actor_key_id: row.actor_key_id.map(Id::from),
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            request_id: row.request_id,
            details: serde_json::from_str(&row.details).unwrap_or_default(),
            created_at: Timestamp::from_micros(row.created_at),
        }
    }
}
