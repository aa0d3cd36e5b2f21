//! Logs and metrics. Every metric is a row of [`names`].

mod logs;
mod mask;
mod metrics;
pub mod names;
mod process;
mod sampler;

pub use self::logs::start_logs;
pub use self::mask::mask_name;
pub use self::metrics::Metrics;
pub use self::sampler::Sampler;
