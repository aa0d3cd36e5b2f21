//! Audit entries: table `audit_logs`. They pass through Redis's log and are no records there.

use super::Table;

pub(crate) static AUDIT_LOGS: Table = Table::durable(
    "audit",
    "audit_logs",
    &[
        "id",
        "user_id",
        "session_id",
        "actor_kind",
        "actor_id",
        "actor_session_id",
        "actor_key_id",
        "action",
        "success",
        "ip_address",
        "user_agent",
        "request_id",
        "details",
        "created_at",
    ],
);
