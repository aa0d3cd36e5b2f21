//! The only place that knows hyper: listeners, dispatch, the contract of a route, and the API itself.
//!
//! A request's way: [`server`] accepts and watches the connection, [`dispatch`] finds the row of the route
//! table ([`api`]) and enforces what it says, a handler turns the decoded input into a use case and its answer
//! into a reply. [`contract`] is what routes are written in: access, inputs, replies, problems, and the `OpenAPI`
//! document that is made of them. Failures become problems at one place.

mod api;
#[cfg_attr(
    not(test),
    allow(
        dead_code,
        reason = "parts of the contract have no route yet; tests prove them"
    )
)]
mod contract;
mod dispatch;
mod server;
mod state;

pub use contract::openapi::document as openapi;
pub use server::{serve, serve_admin};
pub use state::Dependencies;
