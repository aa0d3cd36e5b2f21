//! Second factors as clients meet them: to set one up, to log in with it, to look after it.

mod bounds;
mod enrolment;
mod locks;
mod login;
mod proofs;
mod required;
mod sent_codes;
mod set_up;
mod upkeep;

use crate::harness::{AuthenticatorApp, LoggedIn, Options, TestServer, TestStores};

async fn open(stores: &TestStores) -> TestServer {
    TestServer::open(stores, Options::unlimited().with_outbox()).await
}

/// A server with alice, who has an authenticator app.
async fn with_alice(stores: &TestStores) -> (TestServer, LoggedIn, AuthenticatorApp) {
    let server = open(stores).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    (server, alice, app)
}

/// A server with alice, who gets codes by SMS at [`PHONE`](sent_codes::PHONE).
async fn with_phone(stores: &TestStores) -> (TestServer, LoggedIn) {
    let server = open(stores).await;
    let alice = server.register("alice").await;
    alice.set_up_sent(sent_codes::PHONE).await.ok();
    let code = server.code_sent_to(sent_codes::PHONE, 1).await;
    alice.finish_set_up("sms", &code).await.ok();
    (server, alice)
}
