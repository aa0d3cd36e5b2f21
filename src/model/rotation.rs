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
    /// The token before the newest, within the grace window, from the same client: return the newest again.
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
    /// Judges a presented token. `same_client` and `grace` decide over the token before.
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
        let in_time = now < self.rotated_at.after(grace);
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
