//! Entries as events of the Open Cybersecurity Schema Framework 1.2: Authentication (3002) and Account Change (3001).
//! `docs/audit.md` shows the mapping.

use serde_json::{Value, json};

use crate::model::AuditEntry;

const VERSION: &str = "1.2.0";
const AUTHENTICATION: u32 = 3002;
const ACCOUNT_CHANGE: u32 = 3001;
const OTHER: u32 = 99;

/// Class and activity of each event; those left out are `Other` of Account Change.
const CLASSES: &[(&str, u32, u32)] = &[
    ("user.login", AUTHENTICATION, 1),
    ("user.login_failed", AUTHENTICATION, 1),
    ("user.logout", AUTHENTICATION, 2),
    ("user.reauthenticated", AUTHENTICATION, OTHER),
    ("2fa.verified", AUTHENTICATION, OTHER),
    ("2fa.failed", AUTHENTICATION, OTHER),
    ("2fa.code_sent", AUTHENTICATION, OTHER),
    ("backup_code.used", AUTHENTICATION, OTHER),
    ("session.revoked", AUTHENTICATION, 2),
    ("session.refresh_reused", AUTHENTICATION, OTHER),
    ("session.state_lost", AUTHENTICATION, 2),
    ("device.token_reused", AUTHENTICATION, OTHER),
    ("user.registered", ACCOUNT_CHANGE, 1),
    ("user.password_changed", ACCOUNT_CHANGE, 3),
    ("2fa.enabled", ACCOUNT_CHANGE, 10),
    ("2fa.disabled", ACCOUNT_CHANGE, 11),
    ("2fa.reset", ACCOUNT_CHANGE, 11),
    ("2fa.locked", ACCOUNT_CHANGE, 9),
];

/// The event of an entry.
pub(super) fn event(entry: &AuditEntry) -> Value {
    let known = CLASSES.iter().find(|(action, ..)| *action == entry.action);
    let (class, activity) = known.map_or((ACCOUNT_CHANGE, OTHER), |(_, class, activity)| {
        (*class, *activity)
    });
    let mut event = json!({
        "category_uid": 3,
        "class_uid": class,
        "activity_id": activity,
        "type_uid": class * 100 + activity,
        "severity_id": if entry.success { 1 } else { 2 },
        "status_id": if entry.success { 1 } else { 2 },
        "time": entry.created_at.micros() / 1000,
        "message": entry.action,
        "metadata": {
            "version": VERSION,
            "uid": entry.id,
            "event_code": entry.action,
            "product": { "name": "Sallyport", "vendor_name": "Sallyport" },
        },
        "user": user(entry),
        "unmapped": { "action": entry.action, "actor_kind": entry.actor_kind, "details": entry.details },
    });
    let actor = actor(entry);
    if !actor.is_null() {
        event["actor"] = actor;
    }
    if let Some(address) = &entry.ip_address {
        event["src_endpoint"] = json!({ "ip": address });
    }
    if entry.user_agent.is_some() || entry.request_id.is_some() {
        event["http_request"] = json!({ "user_agent": entry.user_agent, "uid": entry.request_id });
    }
    if class == AUTHENTICATION {
        event["service"] = json!({ "name": "sallyport" });
        if let Some(session) = entry.session_id {
            event["session"] = json!({ "uid": session });
        }
        if let Some(reason) = entry.details.get("reason") {
            event["status_detail"] = reason.clone();
        }
    }
    event
}

/// The account that it is about; a name that nobody has where there is none.
fn user(entry: &AuditEntry) -> Value {
    match entry.user_id {
        Some(id) => json!({ "uid": id }),
        None => {
            json!({ "name": entry.details.get("name").and_then(Value::as_str).unwrap_or("unknown") })
        }
    }
}

fn actor(entry: &AuditEntry) -> Value {
    let mut actor = json!({});
    if let Some(id) = entry.actor_id {
        actor["user"] = json!({ "uid": id });
    }
    if let Some(key) = entry.actor_key_id {
        actor["user"]["credential_uid"] = json!(key);
    }
    if let Some(session) = entry.actor_session_id {
        actor["session"] = json!({ "uid": session });
    }
    if actor.as_object().is_some_and(serde_json::Map::is_empty) {
        return Value::Null;
    }
    actor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Action;

    #[test]
    fn every_mapped_name_is_one_of_an_event_and_stands_once() {
        for (index, (name, ..)) in CLASSES.iter().enumerate() {
            let is_event = Action::ALL.iter().any(|action| action.row().name == *name);
            assert!(is_event, "{name}");
            assert!(
                !CLASSES[..index].iter().any(|(other, ..)| other == name),
                "{name}"
            );
        }
    }
}
