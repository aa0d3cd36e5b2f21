//! Families of rotating tokens: each use replaces the newest token, and a token that is used a second time
//! shows that another client has a copy. Sessions and trusted devices are such families.

use std::time::Duration;

use super::Timestamp;

/// The newest two tokens of a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family<'a> {
    /// Number of the newest token, counted from 1.
    pub(super) generation: i64,
    /// SHA-256 of the newest token's secret, hex.
    pub(super) newest: &'a str,
    /// SHA-256 of the secret before, hex; `None` before the first rotation.
    pub(super) before: Option<&'a str>,
    /// Time of issue of the newest token.
    pub(super) rotated_at: Timestamp,
    /// Time of the first use of what came with a newest token, as far as anybody saw one: of this one when it is
    /// not before [`Family::rotated_at`].
    pub(super) newest_used_at: Option<Timestamp>,
}

/// A token as presented, after its MAC was checked.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The generation under the token's MAC.
    pub generation: i64,
    /// SHA-256 of its secret, hex.
    pub hash: &'a str,
}

/// Verdict over a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The newest token: rotate.
    Current,
    /// The token before the newest, from the same client, which has not used the newest for longer than the grace
    /// window: its answer may have been lost on the way. Return the newest again.
    Grace,
    /// A token that was used before: another client has a copy. The family is ended.
    Reused,
    /// A token newer than the stored one: the store lost state. Log in again; no alarm.
    Ahead,
}

/// The token that replaces the newest.
pub struct Successor {
    /// SHA-256 of its secret, hex.
    pub hash: String,
    /// Its secret, masked for the holder of the one before.
    pub wrapped: String,
}

impl Family<'_> {
    /// Judges a presented token. `same_client` and `grace` decide over the token before; it is never good without
    /// grace.
    pub(super) fn judge(
        self,
        presented: Presented<'_>,
        now: Timestamp,
        grace: Duration,
        same_client: bool,
    ) -> Rotation {
        if presented.generation > self.generation {
            return Rotation::Ahead;
        }
        if presented.generation == self.generation {
            return if same(presented.hash, self.newest) {
                Rotation::Current
            } else {
                Rotation::Reused
            };
        }
        let before = self.before.is_some_and(|hash| same(presented.hash, hash));
        let used = self.newest_used_at.filter(|used| *used >= self.rotated_at);
        let in_time = !grace.is_zero() && used.is_none_or(|used| now < used.after(grace));
        if presented.generation == self.generation - 1 && before && in_time && same_client {
            Rotation::Grace
        } else {
            Rotation::Reused
        }
    }
}

/// Compares two hashes in constant time.
pub(super) fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
