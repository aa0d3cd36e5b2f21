//! Chooses free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::{Error, folder};
use crate::clock;

/// Lowest port, in a range below the one from which Linux takes ports for outgoing connections (32768 and up): there, a client
/// that keeps trying a stopped server could be given the server's own port and end up talking to itself.
const LOWEST: u16 = 15_000;
const SPAN: u16 = 17_000;
/// Attempts at a port that somebody else may take first.
const ATTEMPTS: usize = 5;

/// A loopback port that nobody listens on now. Another process may take it first: callers try again.
#[must_use]
pub fn free() -> u16 {
    loop {
        let drawn = u16::from_be_bytes(clock::random::<2>());
        let port = LOWEST + drawn % SPAN;
        if is_free(port) {
            return port;
        }
    }
}

/// Whether nobody listens on `port`.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Launches a server on the port that is written in `file` when that is free, else on another, and writes it
/// there. When another process takes the port in between, another one is tried.
pub(super) async fn launch<T>(
    file: &Path,
    launch: impl AsyncFn(u16) -> Result<T, Error>,
) -> Result<(u16, T), Error> {
    let remembered = std::fs::read_to_string(file).ok();
    let mut port = remembered
        .and_then(|text| text.trim().parse().ok())
        .filter(|port| is_free(*port))
        .unwrap_or_else(free);
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match launch(port).await {
            Ok(server) => {
                folder::write_private(file, &port.to_string())?;
                return Ok((port, server));
            }
            Err(_) if left > 0 && !is_free(port) => port = free(),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_port_is_outside_of_the_outgoing_range_and_a_taken_one_is_not_free() {
        let port = free();
        assert!((15_000..32_000).contains(&port));
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!is_free(port));
    }

    #[tokio::test]
    async fn taken_port_is_replaced_and_a_failure_of_another_kind_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("port");
        let held = std::cell::RefCell::new(None);
        let (port, ()) = launch(&file, async |port| {
            if held.borrow().is_none() {
                *held.borrow_mut() = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
                return Err(Error::Refused("taken".to_owned()));
            }
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), port.to_string());

        let told = launch(&file, async |_| {
            Err::<(), _>(Error::Refused("no".to_owned()))
        })
        .await;
        assert_eq!(told.unwrap_err().to_string(), "no");
    }
}
