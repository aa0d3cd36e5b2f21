//! API keys: made, changed and ended by their owner, verified at each use, counted, and reported by strangers.
//!
//! | part | subject |
//! |---|---|
//! | `authenticate` | from the text of a key to a principal |
//! | `wanted` | wishes of an owner for a key, checked |
//! | `owned` | list, make, change, rotate, revoke, delete |
//! | `report` | a leaked key, reported by anybody |
//! | `usage` | counts by key and day |

mod authenticate;
mod owned;
mod report;
mod usage;
mod wanted;

pub use authenticate::{authenticate, note_use};
pub use owned::{KeyView, MadeKey, change, create, delete, find, list, revoke, rotate};
pub use report::report;
pub use usage::{run_usage, usage, write_usage};
pub use wanted::{KeyChange, WantedKey, Wish};

use crate::config::Quota;
use crate::core::Core;
use crate::model::ApiKey;

/// The window of a key's own limit.
const HOUR_SECONDS: u64 = 3600;

/// The limit of a key.
fn quota(core: &Core, key: &ApiKey) -> Quota {
    let own = key.rate_limit.map(|most| Quota::new(most, HOUR_SECONDS));
    own.unwrap_or(core.settings.limits.api_key)
}
