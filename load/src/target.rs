//! The service under load: a private one that lives as long as the run, or that of a URL.

mod build;
mod private;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;

pub(crate) use self::build::fresh_binary;
use self::private::Private;
use crate::client::Client;
use crate::error::Error;
use crate::progress::Progress;
use crate::route::Route;
use crate::settings::Settings;

/// Location of the service.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    /// Started for this run.
    Private,
    /// Running already.
    Given {
        /// URL of its API.
        url: String,
        /// URL of its internal listener, when known.
        admin_url: Option<String>,
        /// Whether it may be on another machine.
        anywhere: bool,
    },
}

/// A listener and what its requests have in common.
#[derive(Debug)]
pub(crate) struct Address {
    /// Address to connect to.
    pub(crate) socket: SocketAddr,
    /// `Host` of every request.
    pub(crate) host: HeaderValue,
    uris: Vec<Uri>,
}

impl Address {
    /// A listener whose routes lie below `base`.
    pub(crate) fn new(socket: SocketAddr, host: &str, base: &str) -> Result<Self, Error> {
        let uri = |route: Route| Uri::try_from(format!("{base}{}", route.path()));
        let uris: Result<Vec<Uri>, _> = Route::ALL.into_iter().map(uri).collect();
        let misused = |_| Error::Misused(format!("{host}{base} is no address"));
        Ok(Self {
            socket,
            host: HeaderValue::from_str(host).map_err(|_| Error::Misused(host.to_owned()))?,
            uris: uris.map_err(misused)?,
        })
    }

    /// URI of a route of the API.
    pub(crate) fn uri(&self, route: Route) -> &Uri {
        &self.uris[route as usize]
    }
}

/// The service.
pub(crate) struct Target {
    public: Arc<Address>,
    admin: Option<Arc<Address>>,
    private: Option<Private>,
}

impl Target {
    /// Resolves the service, or starts a private one.
    ///
    /// # Errors
    /// [`Error::Misused`] for a URL that is none or leads to another machine.
    pub(crate) async fn open(
        location: &Location,
        settings: &Settings,
        progress: Progress,
    ) -> Result<Self, Error> {
        match location {
            Location::Private => {
                let private = Private::start(settings, progress).await?;
                let address = |socket: SocketAddr, base| {
                    Address::new(socket, &socket.to_string(), base).map(Arc::new)
                };
                Ok(Self {
                    public: address(private.public, "/api")?,
                    admin: Some(address(private.admin, "")?),
                    private: Some(private),
                })
            }
            Location::Given {
                url,
                admin_url,
                anywhere,
            } => {
                let admin = match admin_url {
                    Some(url) => Some(Arc::new(given(url, *anywhere).await?)),
                    None => None,
                };
                Ok(Self {
                    public: Arc::new(given(url, *anywhere).await?),
                    admin,
                    private: None,
                })
            }
        }
    }

    /// The `number`th client. A private service believes that it comes from one of `addresses` addresses.
    pub(crate) fn client(&self, number: usize, settings: &Settings) -> Client {
        let from = self
            .private
            .as_ref()
            .and_then(|_| forwarded_for(number % settings.addresses.max(1)));
        Client::new(Arc::clone(&self.public), from, settings.timeout())
    }

    /// The Redis of a private service.
    ///
    /// # Errors
    /// [`Error::Io`] when the service does not tell.
    pub(crate) fn redis_url(&self) -> Option<Result<String, Error>> {
        self.private.as_ref().map(Private::redis_url)
    }

    /// The `number`th client of another listener.
    pub(crate) fn client_of(socket: SocketAddr, settings: &Settings) -> Result<Client, Error> {
        let address = Address::new(socket, &socket.to_string(), "/api")?;
        Ok(Client::new(Arc::new(address), None, settings.timeout()))
    }

    /// Whether clients seem to come from different addresses. Only a private service trusts their `X-Forwarded-For`.
    pub(crate) fn tells_addresses_apart(&self) -> bool {
        self.private.is_some()
    }

    /// The internal listener, when known.
    pub(crate) fn admin(&self) -> Option<&Arc<Address>> {
        self.admin.as_ref()
    }

    /// Ends a private service in an orderly way.
    pub(crate) async fn close(self) {
        if let Some(private) = self.private {
            private.end().await;
        }
    }
}

/// An address of the range that is set aside for measuring (RFC 2544).
fn forwarded_for(number: usize) -> Option<HeaderValue> {
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    let number = u32::try_from(number % (1 << 17)).ok()?;
    HeaderValue::try_from(Ipv4Addr::from(first + number).to_string()).ok()
}

async fn given(url: &str, anywhere: bool) -> Result<Address, Error> {
    let (authority, base) = parts(url)?;
    let with_port = if authority.port_u16().is_some() {
        authority.to_string()
    } else {
        format!("{authority}:80")
    };
    let found = tokio::net::lookup_host(with_port)
        .await
        .map_err(Error::io(format!("finding {authority}")))?;
    let found: Vec<SocketAddr> = found.collect();
    if !anywhere && !found.iter().all(|address| address.ip().is_loopback()) {
        return Err(Error::Misused(format!(
            "{authority} is another machine. Load is an attack on whoever did not ask for it: give \
             --i-own-this-host when you may"
        )));
    }
    let socket = found
        .first()
        .ok_or_else(|| Error::Misused(format!("{authority} has no address")))?;
    Address::new(*socket, authority.as_str(), &base)
}

fn parts(url: &str) -> Result<(hyper::http::uri::Authority, String), Error> {
    let misused = || {
        Error::Misused(format!(
            "{url} is no URL of a service: http://127.0.0.1:3001/api (TLS is not spoken here)"
        ))
    };
    let uri: Uri = url.parse().map_err(|_| misused())?;
    let is_plain = uri.scheme_str() == Some("http") && uri.query().is_none();
    let authority = uri.authority().filter(|_| is_plain).ok_or_else(misused)?;
    let base = uri.path().trim_end_matches('/').to_owned();
    Ok((authority.clone(), base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_this_machine_may_be_loaded_unless_its_owner_says_so() {
        for far in ["http://192.0.2.1:3001/api", "http://[2001:db8::1]/"] {
            let refused = given(far, false).await.unwrap_err();
            assert!(refused.to_string().contains("--i-own-this-host"), "{far}");
            assert!(given(far, true).await.is_ok(), "{far}");
        }
        for near in [
            "http://127.0.0.1:3001/api",
            "http://[::1]:1",
            "http://127.9.9.9",
        ] {
            assert!(given(near, false).await.is_ok(), "{near}");
        }
    }

    #[tokio::test]
    async fn url_gives_socket_host_and_paths() {
        let address = given("http://127.0.0.1:3001/api/", false).await.unwrap();
        assert_eq!(address.socket.to_string(), "127.0.0.1:3001");
        assert_eq!(address.host, "127.0.0.1:3001");
        assert_eq!(address.uri(Route::Me).path(), "/api/auth/me");
        for wrong in [
            "https://127.0.0.1",
            "127.0.0.1:3001",
            "ftp://127.0.0.1",
            "http://127.0.0.1/?a=b",
        ] {
            assert!(
                matches!(given(wrong, true).await, Err(Error::Misused(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn each_number_has_its_address_within_the_range_for_measuring() {
        assert_eq!(forwarded_for(0).unwrap(), "198.18.0.0");
        assert_eq!(forwarded_for(256).unwrap(), "198.18.1.0");
        assert_eq!(forwarded_for((1 << 17) - 1).unwrap(), "198.19.255.255");
        assert_eq!(forwarded_for(1 << 17).unwrap(), "198.18.0.0");
    }
}
