//! Reference servers: one of nothing but hyper, and one that asks Redis for one key before it answers. They run in a
//! process of their own, as the service does, and get the requests of the same virtual users in the same run, so that
//! a ratio to them holds whatever the machine.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::Builder;
use fred::types::config::{Config, TcpConfig};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::error::Error;

/// The key that is read; its value is as long as a session.
const KEY: &str = "load:bare";
const VALUE_BYTES: usize = 900;
/// Body of every answer.
const BODY: &[u8] = br#"{"success":true}"#;

/// Both reference servers, while they run.
pub(crate) struct ReferenceServers {
    process: Child,
    /// Hyper alone.
    pub(crate) alone: SocketAddr,
    /// With one GET.
    pub(crate) with_get: SocketAddr,
}

impl ReferenceServers {
    /// Starts them beside a Redis.
    pub(crate) fn start(redis_url: &str) -> Result<Self, Error> {
        let starting = || Error::io("starting the bare servers");
        let own = std::env::current_exe().map_err(starting())?;
        let mut process = Command::new(own)
            .args(["bare", redis_url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(starting())?;
        let mut lines = process
            .stdout
            .take()
            .map(|said| BufReader::new(said).lines());
        let mut address = || {
            let line = lines.as_mut()?.next()?.ok()?;
            line.parse().ok()
        };
        let (Some(alone), Some(with_get)) = (address(), address()) else {
            let _ = process.kill();
            let _ = process.wait();
            return Err(Error::Target("the bare servers did not start".to_owned()));
        };
        Ok(Self {
            process,
            alone,
            with_get,
        })
    }
}

impl Drop for ReferenceServers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves both until standard input is closed. As many threads as the service has.
pub(crate) fn serve(redis_url: &str) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Error::io("starting threads"))?;
    runtime.block_on(async {
        let redis = connect(redis_url).await?;
        let (alone, with_get) = (listen().await?, listen().await?);
        let mut out = std::io::stdout();
        for listener in [&alone, &with_get] {
            let address = listener.local_addr().map_err(Error::io("listening"))?;
            writeln!(out, "{address}").map_err(Error::io("telling the address"))?;
        }
        tokio::spawn(answer(alone, None));
        tokio::spawn(answer(with_get, Some(redis)));
        Ok(())
    })?;
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

/// One connection, set up as the service's are.
async fn connect(url: &str) -> Result<Client, Error> {
    let failure = |error: fred::error::Error| Error::Target(format!("Redis: {error}"));
    let mut builder = Builder::from_config(Config::from_url(url).map_err(failure)?);
    builder.with_connection_config(|connection| {
        connection.tcp = TcpConfig {
            nodelay: Some(true),
            ..TcpConfig::default()
        };
    });
    let client = builder.build().map_err(failure)?;
    client.init().await.map_err(failure)?;
    let value = "x".repeat(VALUE_BYTES);
    let stored: Result<(), _> = client.set(KEY, value, None, None, false).await;
    stored.map_err(failure)?;
    Ok(client)
}

async fn listen() -> Result<TcpListener, Error> {
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    listening.map_err(Error::io("listening"))
}

async fn answer(listener: TcpListener, redis: Option<Client>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let redis = redis.clone();
        tokio::spawn(async move {
            let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                let redis = redis.clone();
                async move {
                    if let Some(redis) = redis {
                        let _: Option<Bytes> = redis.get(KEY).await.unwrap_or_default();
                    }
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(BODY))))
                }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
