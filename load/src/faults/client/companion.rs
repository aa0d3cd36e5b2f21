//! The companion: looks at everything, from beside.

use super::Client;

#[derive(Clone, Copy)]
enum Look {
    AnySession,
    OwnSessions,
    OldPassword,
    Password,
    Login,
}

impl Client {
    /// One turn of the companion.
    pub(super) async fn accompany(&mut self) {
        let look = self.random.weighted(&[
            (10, Look::AnySession),
            (8, Look::OwnSessions),
            (3, Look::OldPassword),
            (2, Look::Password),
            (2, Look::Login),
        ]);
        let (password, settled) = {
            let known = self.known();
            let settled = known.perhaps.is_none() && known.two_factor == Some(false);
            (known.password, settled)
        };
        match look {
            Look::AnySession => self.ask_any().await,
            Look::OwnSessions if !self.known().live(self.number).is_empty() => {
                self.tend_sessions().await;
            }
            Look::OldPassword if password > 0 => {
                let old = self.random.index(password);
                self.log_in(old, None).await;
            }
            Look::Login if settled => {
                self.enter().await;
            }
            _ => drop(self.log_in(password, None).await),
        }
    }
}
