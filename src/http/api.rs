//! The API: each feature's routes, bodies and handlers stand in one file. Here is the list of them, which the
//! router, the documents and the tests walk.

mod api_keys;
mod audit;
mod backup_codes;
mod devices;
mod documents;
mod enrolment;
pub(crate) mod health;
mod login;
mod methods;
mod outbox;
mod pages;
mod password;
mod register;
mod roles;
mod second_factor;
mod session;

use super::contract::route::Route;

/// Routes of the public listener.
pub(crate) const PUBLIC: &[&[Route]] = &[
    register::ROUTES,
    login::ROUTES,
    session::ROUTES,
    password::ROUTES,
    second_factor::ROUTES,
    enrolment::ROUTES,
    methods::ROUTES,
    backup_codes::ROUTES,
    devices::ROUTES,
    audit::ROUTES,
    api_keys::ROUTES,
    roles::ROUTES,
    documents::ROUTES,
    pages::ROUTES,
    health::ROUTES,
];

/// Routes that the public listener has in dev mode besides. No document tells of them.
pub(crate) const DEV: &[Route] = outbox::ROUTES;

/// Routes of the internal listener.
pub(crate) const ADMIN: &[Route] = &[
    documents::METRICS,
    health::DETAILED,
    health::LIVE,
    health::READY,
    health::LIVE.at("/live"),
    health::READY.at("/ready"),
];

/// All routes of the public listener, one by one.
pub(crate) fn public() -> impl Iterator<Item = &'static Route> {
    PUBLIC.iter().copied().flatten()
}

#[cfg(test)]
mod tests;
