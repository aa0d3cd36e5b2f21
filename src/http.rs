//! The only place that knows hyper: listeners, route table, dispatch, extraction, problems, handlers.
//!
//! A request's way: [`server`] accepts and watches the connection, [`dispatch`] finds the line of the
//! route table ([`routes`]) and enforces what stands there, a handler turns the decoded request into a
//! use case and its answer into a reply. What goes wrong becomes a [`problem`] at one place.

mod admission;
mod body;
mod budget;
mod call;
mod client;
mod cookies;
mod cors;
mod csrf;
mod dispatch;
mod handlers;
mod headers;
mod house;
mod json;
mod openapi;
mod problem;
mod rate_limit;
mod reply;
mod request_id;
mod response;
mod route;
mod router;
mod routes;
mod schema;
mod server;
mod shares;

pub use house::Deps;
pub use openapi::document as openapi;
pub use server::{serve, serve_admin};

/// A kind of problem that the service answers with.
#[derive(Clone, Copy, Debug)]
pub struct ProblemRow {
    /// Status of the response.
    pub status: u16,
    /// Stable name, `snake_case`.
    pub code: &'static str,
    /// For a person.
    pub title: &'static str,
}

/// Every kind of problem that the service answers with.
pub fn problems() -> impl Iterator<Item = ProblemRow> {
    let row = |kind: &problem::Kind| ProblemRow {
        status: kind.status().as_u16(),
        code: kind.code(),
        title: kind.title(),
    };
    problem::Kind::ALL.iter().map(row)
}
