//! Logs and metrics. Every metric's name, meaning and buckets stand in [`names`].

pub mod names;
