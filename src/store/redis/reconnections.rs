//! The number of connections made so far. While it stays the same, answers come from the same servers.
//!
//! The client announces a connection before it sends anything over it. So an answer that came over a new
//! connection comes after its announcement, and whoever counts the announcements after an answer knows whether it
//! came over a connection that stood before.

use std::sync::{Mutex, PoisonError};

use fred::clients::Client;
use fred::interfaces::EventInterface;
use fred::types::config::Server;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// Announcements of connections, of every client that is followed.
#[derive(Debug, Default)]
pub(crate) struct Reconnections(Mutex<Followed>);

#[derive(Debug, Default)]
struct Followed {
    count: u64,
    announced: Vec<Receiver<Server>>,
}

impl Reconnections {
    /// Counts the connections that a client makes from now on; the client itself counts as one.
    pub(crate) fn follow(&self, client: &Client) {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.announced.push(client.reconnect_rx());
        followed.count += 1;
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made = 0;
        followed.announced.retain_mut(|announced| {
            loop {
                match announced.try_recv() {
                    Ok(_) | Err(TryRecvError::Lagged(_)) => made += 1,
                    Err(TryRecvError::Empty) => return true,
                    Err(TryRecvError::Closed) => return false,
                }
            }
        });
        followed.count += made;
        followed.count
    }
}
