//! What the two stores hold when everything is drained.

use std::collections::{HashMap, HashSet};

use super::{Rule, Violation};
use crate::error::Error;
use crate::faults::account::Account;
use crate::faults::history::{Operation, locked};
use crate::faults::servers::Servers;

/// Kinds of records in Redis with their tables. Records that live in Redis alone have none.
const TABLES: &[(&str, &str)] = &[
    ("user", "users"),
    ("session", "sessions"),
    ("factors", "second_factors"),
    ("device", "trusted_devices"),
    ("apikey", "api_keys"),
    ("roles", "roles"),
];
/// Violations of one kind that are told; more of them say nothing more.
const TOLD: usize = 5;

/// Everything that is compared.
pub(in crate::faults) struct Snapshot {
    /// Version by kind and id, without hyphens.
    redis: HashMap<(String, String), u64>,
    postgres: HashMap<(String, String), u64>,
    /// Sessions that an audit entry of a login or registration names.
    audited: HashSet<String>,
    /// Number of accounts by username.
    users: HashMap<String, usize>,
    dead_letters: String,
}

impl Snapshot {
    /// Reads both stores.
    ///
    /// # Errors
    /// When one of them does not answer.
    pub(in crate::faults) async fn read(servers: &Servers) -> Result<Self, Error> {
        let kinds: Vec<&str> = TABLES.iter().map(|(kind, _)| *kind).collect();
        let records = servers.redis_records(&kinds).await;
        let records = records.ok_or_else(|| Error::Target("Redis could not be read".to_owned()))?;
        let mut postgres = HashMap::new();
        for (kind, table) in TABLES {
            let rows = servers
                .query(&format!("SELECT id, ver FROM {table}"))
                .await?;
            for (id, ver) in rows.lines().filter_map(|line| line.split_once('|')) {
                let key = ((*kind).to_owned(), id.replace('-', ""));
                postgres.insert(key, ver.trim().parse().unwrap_or(0));
            }
        }
        let audited = "SELECT session_id FROM audit_logs WHERE session_id IS NOT NULL
            AND action IN ('user.login', 'user.registered')";
        let users =
            "SELECT username, count(*) FROM users WHERE deleted_at IS NULL GROUP BY username";
        let users = servers.query(users).await?;
        let users = users.lines().filter_map(|line| line.split_once('|'));
        let letters = "SELECT record, sqlstate, message FROM dead_letters LIMIT 3";
        Ok(Self {
            redis: records.lines().filter_map(record).collect(),
            postgres,
            audited: servers.query(audited).await?.lines().map(plain).collect(),
            users: users
                .map(|(name, count)| (name.to_owned(), count.trim().parse().unwrap_or(0)))
                .collect(),
            dead_letters: servers.query(letters).await?.trim().to_owned(),
        })
    }

    /// Violations of the rules about stores.
    pub(in crate::faults) fn check(
        &self,
        accounts: &[std::sync::Arc<Account>],
        operations: &[Operation],
    ) -> Vec<Violation> {
        let mut violations = self.disagreements();
        violations.extend(self.missing_audit(accounts, operations));
        violations.extend(
            accounts
                .iter()
                .filter_map(|account| self.name(account, operations)),
        );
        if !self.dead_letters.is_empty() {
            let what = format!("PostgreSQL refused records for good: {}", self.dead_letters);
            violations.push(violation(Rule::StoresDisagree, None, what));
        }
        violations
    }

    fn disagreements(&self) -> Vec<Violation> {
        let mut found: Vec<String> = Vec::new();
        for ((kind, id), ver) in &self.redis {
            match self.postgres.get(&(kind.clone(), id.clone())) {
                Some(stored) if stored == ver => {}
                Some(stored) => found.push(format!(
                    "{kind} {id} has version {ver} in Redis and {stored} in PostgreSQL"
                )),
                None => found.push(format!("{kind} {id} is in Redis and not in PostgreSQL")),
            }
        }
        found.sort();
        let told = found.into_iter().take(TOLD);
        told.map(|what| violation(Rule::StoresDisagree, None, what))
            .collect()
    }

    fn missing_audit(
        &self,
        accounts: &[std::sync::Arc<Account>],
        operations: &[Operation],
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        for operation in operations {
            let Some(number) = operation.session() else {
                continue;
            };
            let known = locked(&accounts[operation.account].known);
            let id = &known.sessions[number].id;
            if !self.audited.contains(&plain(id)) {
                let what = format!("session {number} ({id}) has no entry of its login");
                let mut missing = violation(Rule::AuditMissing, Some(operation.account), what);
                missing.trace.push(operation.to_string());
                found.push(missing);
            }
        }
        found.truncate(TOLD);
        found
    }

    fn name(&self, account: &Account, operations: &[Operation]) -> Option<Violation> {
        use crate::faults::history::Action;
        let own = |operation: &&Operation| {
            operation.account == account.number && operation.action == Action::Register
        };
        let registered = operations.iter().filter(own).any(Operation::is_done);
        let stored = self.users.get(&account.name).copied().unwrap_or(0);
        let (rule, what) = match (registered, stored) {
            (true, 0) => (
                Rule::Lost,
                "an account that was registered is not in PostgreSQL",
            ),
            (_, 2..) => (Rule::NameTwice, "PostgreSQL has two accounts of one name"),
            _ => return None,
        };
        let mut found = violation(
            rule,
            Some(account.number),
            format!("{what}: {}", account.name),
        );
        found.trace = operations
            .iter()
            .filter(own)
            .map(ToString::to_string)
            .collect();
        Some(found)
    }
}

fn violation(rule: Rule, account: Option<usize>, what: String) -> Violation {
    Violation {
        rule,
        account,
        what,
        trace: Vec::new(),
    }
}

/// `…{pp}:kind:id gen ver …`
fn record(line: &str) -> Option<((String, String), u64)> {
    let mut words = line.split(' ');
    let (_, name) = words.next()?.split_once("}:")?;
    let (kind, id) = name.split_once(':')?;
    let ver = words.nth(1)?.parse().ok()?;
    Some(((kind.to_owned(), plain(id)), ver))
}

/// An id without hyphens.
fn plain(id: &str) -> String {
    id.trim().replace('-', "")
}
