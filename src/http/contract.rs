//! The language that routes are written in. A [`route::Route`] is one row: method, path, handler (whose signature
//! types path, query and body), access, limits, success and refusals. All else is made of that row.

pub(crate) mod accept;
pub(crate) mod access;
pub(crate) mod call;
pub(crate) mod cookies;
pub(crate) mod csrf;
pub(crate) mod html;
pub(crate) mod input;
pub(crate) mod json;
pub(crate) mod openapi;
mod pairs;
pub(crate) mod problem;
pub(crate) mod reply;
pub(crate) mod route;
pub(crate) mod text;

/// Everything that a file of `http::api` needs.
pub(crate) mod prelude {
    pub(crate) use super::access::Access::{
        Challenge, Public, RecentUser, RecentUserOrScope, Scope as UserOrScope,
    };
    pub(crate) use super::call::Call;
    pub(crate) use super::input::{Json, OptionalJson, Path, handler};
    pub(crate) use super::problem::{FieldProblem, Kind, Problem};
    pub(crate) use super::reply::Reply;
    pub(crate) use super::route::{Limit, Route, Tag};
}
