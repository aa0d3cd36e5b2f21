//! Audit entries: who did it, who may read them, and how they are found.

mod actors;
mod export;
mod partitions;
mod search;
