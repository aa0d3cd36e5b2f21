//! Settings of the two listeners: addresses, TLS, bounds and time limits of requests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::form::{
    List, Location, Maybe, Network, Number, Origin, Parsed, PublicUrl, Size, TIMEOUT, Text,
    is_plain,
};
use super::setting::settings;
use super::{Config, Problem};

settings! {
    /// The public and the internal listener.
    pub struct Http = config.http {
        /// Address of the public listener.
        host: IpAddr = Ipv4Addr::LOCALHOST.into(), "HOST", Parsed::new("an IP address; 0.0.0.0 or :: for all");
        /// Port of the public listener; 0 lets the system choose.
        port: u16 = 3001, "PORT", Number(0..=65_535);
        /// The internal listener: metrics and health. Never show it to the world.
        admin: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 3002)), "ADMIN_ADDR",
            Parsed::new("address:port, as in 127.0.0.1:3002");
        /// How the world reaches the service; with `https://` cookies are `__Host-` and `Secure`.
        public_url: Option<String> = None, "PUBLIC_URL", Maybe(PublicUrl);
        /// Prefix of every API route; they also answer without it.
        base_path: String = "/api".to_owned(), "API_BASE_PATH", BASE_PATH;
        /// Origins whose pages may call with credentials.
        cors_origins: Vec<String> = Vec::new(), "CORS_ORIGINS", List(Origin);
        /// Networks whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<IpNet> = Vec::new(), "TRUSTED_PROXIES", List(Network);
        /// PEM chain; TLS is spoken when this and `TLS_KEY` are given.
        tls_cert: Option<PathBuf> = None, "TLS_CERT", Maybe(Location);
        /// PEM private key of `TLS_CERT`.
        tls_key: Option<PathBuf> = None, "TLS_KEY", Maybe(Location);
        /// Connections at a time, fewer where the limit of open files is lower. For a further one the connection that is
        /// idle longest is closed; where all are in use it waits.
        max_connections: usize = 16_384, "MAX_CONNECTIONS", Number(1..=1_000_000);
        /// Connections of one address (IPv6: of one /64) at a time, except from `TRUSTED_PROXIES`; further ones
        /// are closed.
        max_connections_per_address: usize = 512, "MAX_CONNECTIONS_PER_ADDRESS", Number(1..=1_000_000);
        /// Longest body of a request.
        max_body_bytes: usize = 16 << 10, "MAX_BODY_BYTES", Size::new(1 << 10..=64 << 20);
        /// Bodies of all requests in flight together, a quarter at most for one client; further ones are
        /// answered 503.
        body_budget_bytes: usize = 64 << 20, "BODY_BUDGET_BYTES", Size::new(1 << 20..=16 << 30);
        /// Bytes that must come in each second of a body, on average, once `BODY_GRACE` is over; slower ones are answered
        /// 408. 0 means any.
        min_body_rate: u32 = 100, "MIN_BODY_RATE", Number(0..=1_000_000);
        /// Time for which a body may come as slowly as it likes.
        body_grace: Duration = Duration::from_secs(5), "BODY_GRACE", TIMEOUT;
        /// Longest headers of a request.
        max_header_bytes: usize = 16 << 10, "MAX_HEADER_BYTES", Size::new(8 << 10..=1 << 20);
        /// Time from accept (or TLS handshake) to the first byte.
        first_byte_timeout: Duration = Duration::from_secs(10), "FIRST_BYTE_TIMEOUT", TIMEOUT;
        /// Time for reading all headers of one request.
        header_timeout: Duration = Duration::from_secs(10), "HEADER_TIMEOUT", TIMEOUT;
        /// Time for the whole request, its body included.
        request_timeout: Duration = Duration::from_secs(30), "REQUEST_TIMEOUT", TIMEOUT;
        /// Time from which a request is logged and counted as slow, its hash and the arrival of its body left aside.
        slow_operation: Duration = Duration::from_millis(500), "SLOW_OPERATION", TIMEOUT;
        /// Time that a kept-alive connection may be without a request. Longer than proxies keep theirs (nginx: 60 s), so
        /// that a proxy never sends a request on a connection that is being closed here.
        idle_timeout: Duration = Duration::from_secs(75), "IDLE_TIMEOUT", TIMEOUT;
        /// Time from SIGTERM for which open connections are still answered, with `Connection: close`, before idle
        /// ones are closed.
        drain_notice: Duration = Duration::from_secs(1), "DRAIN_NOTICE", TIMEOUT;
        /// Time from SIGTERM until open requests are cut, `DRAIN_NOTICE` included.
        drain_timeout: Duration = Duration::from_secs(20), "DRAIN_TIMEOUT", TIMEOUT;
    }
}

impl Http {
    /// Address of the public listener, `HOST`:`PORT`.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

const BASE_PATH: Text = Text {
    accepts: |text| {
        let named = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_plain)
        };
        text == "/"
            || text
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(named))
    },
    allowed: "/ or a path as in /api or /id/v1, of letters, digits, dots, dashes and underscores",
};

/// Contradictions between these settings.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    let http = &config.http;
    match (&http.tls_cert, &http.tls_key) {
        (Some(_), None) => problems.push(Problem::new("TLS_KEY", "is missing beside TLS_CERT")),
        (None, Some(_)) => problems.push(Problem::new("TLS_CERT", "is missing beside TLS_KEY")),
        _ => {}
    }
    if http.listen() == http.admin && http.port != 0 {
        let advice = "must differ from HOST:PORT";
        problems.push(Problem::new("ADMIN_ADDR", advice).was(http.admin.to_string()));
    }
    let (budget, longest) = (http.body_budget_bytes, http.max_body_bytes);
    if budget < longest {
        let advice = format!("must be no less than MAX_BODY_BYTES = {longest}");
        problems.push(Problem::new("BODY_BUDGET_BYTES", advice).was(budget.to_string()));
    }
}
