//! Logs and metrics. Every metric's name, meaning and buckets stand in [`names`].

mod logs;
mod mask;
mod metrics;
pub mod names;
mod process;

pub use self::logs::start_logs;
pub use self::mask::mask_email;
pub use self::metrics::Metrics;
