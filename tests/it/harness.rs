//! The harness of the tests: a server of ours over real stores, the clients of it, and ways to break both.

mod answer;
mod client;
mod letters;
mod postgres_proxy;
pub mod records;
mod redis_proxy;
mod second_factors;
mod server;
pub mod store_servers;
pub mod stores;
mod tracking_proxy;

pub use answer::{Answer, texts};
pub use client::{Anonymous, FIREFOX, HalfLoggedIn, LoggedIn, PASSWORD};
pub use letters::code_in;
pub use postgres_proxy::PostgresProxy;
pub use redis_proxy::RedisProxy;
pub use second_factors::AuthenticatorApp;
pub use server::{Options, TestServer, cases, cheap_hashing, eventually};
pub use store_servers::OwnStores;
pub use stores::{BOTH, Kind, TestStores};
pub use tracking_proxy::TrackingProxy;
