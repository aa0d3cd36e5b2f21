//! Sessions: questions, refresh, logout, revocation.

use hyper::Method;
use serde_json::json;

use super::{Client, Request, nothing};
use crate::faults::history::{Action, Outcome, SessionNumber};

/// What is done to a session.
#[derive(Clone, Copy)]
enum Deed {
    Ask,
    Refresh,
    RefreshTwice,
    RefreshOld,
    LogOut,
    Revoke,
    RevokeOthers,
    RevokeAll,
}

impl Client {
    /// One operation on a session of this client, or a question about any session of the account.
    pub(super) async fn tend_sessions(&mut self) {
        let live = self.known().live(self.number);
        if live.is_empty() {
            self.enter().await;
            return;
        }
        let session = live[self.random.index(live.len())];
        let deed = self.random.weighted(&[
            (12, Deed::Ask),
            (10, Deed::Refresh),
            (2, Deed::RefreshTwice),
            (1, Deed::RefreshOld),
            (6, Deed::LogOut),
            (3, Deed::Revoke),
            (1, Deed::RevokeOthers),
            (1, Deed::RevokeAll),
        ]);
        match deed {
            Deed::Ask => self.ask_any().await,
            Deed::Refresh => self.refresh(session).await,
            Deed::RefreshTwice => self.refresh_twice(session).await,
            Deed::RefreshOld => self.refresh_old(session).await,
            Deed::LogOut => self.log_out(session).await,
            Deed::Revoke => self.revoke(session, live[0]).await,
            Deed::RevokeOthers => self.revoke_all(session, true).await,
            Deed::RevokeAll => self.revoke_all(session, false).await,
        }
    }

    /// Asks whether a session of the account lives, one that ended as well as any other.
    pub(super) async fn ask_any(&mut self) {
        let count = self.known().sessions.len();
        if count > 0 {
            let session = self.random.index(count);
            self.ask(session).await;
        }
    }

    /// Asks whether a session lives. Returns false where it was not told.
    pub(super) async fn ask(&mut self, session: SessionNumber) -> bool {
        let access = self.known().sessions[session].access.clone();
        let request = Request::new(Method::GET, "/auth/me".to_owned(), nothing()).by(&access);
        let answered = self.perform(Action::Me { session }, &request).await;
        let refused = matches!(answered.outcome, Outcome::Refused(_));
        if refused {
            self.known().sessions[session].over = true;
        }
        refused || matches!(answered.outcome, Outcome::Done(_))
    }

    fn refreshing(&self, session: SessionNumber, generation: usize) -> (Action, Request) {
        let token = self.known().sessions[session].tokens[generation].clone();
        let request = Request::post("/auth/refresh", json!({ "refreshToken": token }));
        let action = Action::Refresh {
            session,
            generation,
        };
        (action, request)
    }

    fn newest(&self, session: SessionNumber) -> usize {
        self.known().sessions[session].tokens.len() - 1
    }

    async fn refresh(&mut self, session: SessionNumber) {
        let (action, request) = self.refreshing(session, self.newest(session));
        let (answered, _) = self.insist(&action, &request).await;
        if !matches!(answered.outcome, Outcome::Done(_)) {
            self.known().sessions[session].over = true;
        }
    }

    /// As two tabs of one browser do.
    async fn refresh_twice(&mut self, session: SessionNumber) {
        let (action, request) = self.refreshing(session, self.newest(session));
        let answered = self.perform_twice(&action, [&request, &request]).await;
        let done = answered
            .iter()
            .any(|one| matches!(one.outcome, Outcome::Done(_)));
        if !done {
            let (answered, _) = self.insist(&action, &request).await;
            self.known().sessions[session].over |= !matches!(answered.outcome, Outcome::Done(_));
        }
    }

    /// Sends a token whose successor was used already: somebody has a copy of it.
    async fn refresh_old(&mut self, session: SessionNumber) {
        let newest = self.newest(session);
        if newest < 2 {
            return;
        }
        let generation = self.random.index(newest - 1);
        let (action, request) = self.refreshing(session, generation);
        self.known().sessions[session].over = true;
        self.insist(&action, &request).await;
        self.ask(session).await;
    }

    async fn log_out(&mut self, session: SessionNumber) {
        let newest = self.newest(session);
        let token = self.known().sessions[session].tokens[newest].clone();
        let request = Request::post("/auth/logout", json!({ "refreshToken": token }));
        self.known().sessions[session].over = true;
        self.insist(&Action::Logout { session }, &request).await;
        self.ask(session).await;
    }

    async fn revoke(&mut self, by: SessionNumber, session: SessionNumber) {
        let (access, id) = {
            let known = self.known();
            (
                known.sessions[by].access.clone(),
                known.sessions[session].id.clone(),
            )
        };
        let path = format!("/auth/sessions/{id}");
        let request = Request::new(Method::DELETE, path, nothing()).by(&access);
        self.known().sessions[session].over = true;
        self.insist(&Action::Revoke { by, session }, &request).await;
        self.ask(session).await;
    }

    async fn revoke_all(&mut self, by: SessionNumber, keep: bool) {
        let access = self.known().sessions[by].access.clone();
        let body = json!({ "keepCurrent": keep });
        let request = Request::post("/auth/revoke-sessions", body).by(&access);
        let (answered, _) = self.insist(&Action::RevokeAll { by, keep }, &request).await;
        if !matches!(answered.outcome, Outcome::Refused(_)) {
            self.known().end_all(keep.then_some(by));
        }
    }
}
