//! One instance of the program: `sallyport serve` as a process of its own.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use nix::sys::signal::Signal;
use sallyport::dev::free_port;

use super::child::Child;
use crate::client::Client;
use crate::error::Error;
use crate::scrape::Exposition;
use crate::target::Address;

const PATIENCE: Duration = Duration::from_secs(2);
/// Variables of our environment that the program may see; not more, for they could lead to production stores.
const PASSED_ON: &[&str] = &["PATH", "HOME", "TMPDIR", "LANG"];

/// The instance, running or not.
pub(in crate::faults) struct Instance {
    binary: PathBuf,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    public: SocketAddr,
    admin: Arc<Address>,
    child: Option<Child>,
}

impl Instance {
    /// An instance that is not started yet, over the stores of the two URLs.
    pub(super) fn new(
        binary: &Path,
        folder: &Path,
        number: usize,
        redis_url: String,
        database_url: String,
    ) -> Result<Self, Error> {
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (public, admin) = (here(free_port()), here(free_port()));
        let environment = vec![
            ("PORT", public.port().to_string()),
            ("ADMIN_ADDR", admin.to_string()),
            ("KEYS_FILE", folder.join("keys.json").display().to_string()),
            ("REDIS_URL", redis_url),
            ("DATABASE_URL", database_url),
            ("RATE_LIMITS", "off".to_owned()),
            ("ALLOW_UNLIMITED", "1".to_owned()),
            // Settings that are unsafe in production, as these are, may have to be allowed by name.
            ("ALLOW_UNSAFE", "all".to_owned()),
            ("ARGON2_MEMORY_KIB", "8".to_owned()),
            ("ARGON2_ITERATIONS", "1".to_owned()),
            ("ARGON2_PARALLELISM", "1".to_owned()),
            ("TOTP_SKEW_STEPS", super::SKEW_STEPS.to_string()),
            // A bound of sessions would end some that nobody ended.
            ("MAX_SESSIONS_PER_ACCOUNT", "1000".to_owned()),
            ("MAX_CONNECTIONS", "500".to_owned()),
            // Within it an instance has to notice a loss, beside several others on a busy machine.
            ("LOSS_HOLD", "5s".to_owned()),
            ("LOG_FORMAT", "text".to_owned()),
            ("RUST_LOG", "info".to_owned()),
        ];
        Ok(Self {
            binary: binary.to_owned(),
            environment,
            log: folder.join(format!("instance-{number}.log")),
            public,
            admin: Arc::new(Address::new(admin, &admin.to_string(), "")?),
            child: None,
        })
    }

    /// Address of its public listener.
    pub(super) fn public(&self) -> SocketAddr {
        self.public
    }

    /// A command of the program with the instance's settings.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .envs(PASSED_ON.iter().filter_map(passed_on))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/");
        command
    }

    /// Starts it, unless it runs. Does not wait until it is ready.
    pub(in crate::faults) fn start(&mut self) -> Result<(), Error> {
        if self.is_running() {
            return Ok(());
        }
        self.child = Some(Child::start(&mut self.command(&["serve"]), &self.log)?);
        Ok(())
    }

    pub(in crate::faults) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(Child::is_running)
    }

    pub(in crate::faults) async fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().await;
        }
    }

    pub(in crate::faults) fn pause(&mut self) {
        if let Some(child) = &mut self.child {
            child.signal(Signal::SIGSTOP);
        }
    }

    pub(in crate::faults) fn resume(&mut self) {
        if let Some(child) = &mut self.child {
            child.signal(Signal::SIGCONT);
        }
    }

    /// Whether it says that requests should be sent to it.
    pub(super) async fn is_ready(&self) -> bool {
        let answer = self.admin_client().fetch(Uri::from_static("/ready")).await;
        answer.status == 200
    }

    /// Its metrics; `None` when it does not answer.
    pub(super) async fn metrics(&self) -> Option<Exposition> {
        let mut client = self.admin_client();
        let answer = client.fetch(Uri::from_static("/metrics")).await;
        let text = std::str::from_utf8(&answer.body).ok()?;
        answer.is_ok().then(|| Exposition::parse(text))
    }

    fn admin_client(&self) -> Client {
        Client::new(Arc::clone(&self.admin), None, PATIENCE)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "programs are found as in the checker's own environment"
)]
fn passed_on(name: &&'static str) -> Option<(&'static str, OsString)> {
    Some((name, std::env::var_os(name)?))
}
