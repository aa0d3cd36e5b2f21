//! The service's own metrics: `/metrics` of its internal listener at the beginning, during and at the end of a phase.

mod exposition;
mod figures;

use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;

pub(crate) use self::exposition::Exposition;
pub(crate) use self::figures::ServerFigures;
use crate::client::Client;
use crate::target::Address;

/// Longest wait for one reading.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Reads `/metrics`, and keeps what is needed for [`ServerFigures`].
pub(crate) struct Scraper {
    client: Client,
    first: Option<(Duration, Exposition)>,
    last: Option<(Duration, Exposition)>,
    peaks: figures::Peaks,
}

impl Scraper {
    /// A scraper of the internal listener at `address`.
    pub(crate) fn new(address: &Arc<Address>) -> Self {
        Self {
            client: Client::new(Arc::clone(address), None, TIMEOUT),
            first: None,
            last: None,
            peaks: figures::Peaks::default(),
        }
    }

    /// Takes a reading at `now`, since the phase began. One that fails is left out.
    pub(crate) async fn read(&mut self, now: Duration) {
        let answer = self.client.fetch(Uri::from_static("/metrics")).await;
        let Ok(text) = std::str::from_utf8(&answer.body) else {
            return;
        };
        if !answer.is_ok() {
            return;
        }
        let reading = Exposition::parse(text);
        self.peaks.note(&reading);
        if self.first.is_none() {
            self.first = Some((now, reading));
        } else {
            self.last = Some((now, reading));
        }
    }

    /// Figures of the readings; `None` without two of them.
    pub(crate) fn figures(self) -> Option<ServerFigures> {
        let ((began, first), (ended, last)) = (self.first?, self.last?);
        let seconds = ended.saturating_sub(began).as_secs_f64();
        Some(ServerFigures::between(&first, &last, &self.peaks, seconds))
    }
}
