//! A private service: `sallyport dev` with stores of its own in a throw-away folder. It ends with the run,
//! however that ends, and takes its stores along.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sallyport::clock::{self, Stopwatch};
use sallyport::dev::{ThrowawayFolder, free_port};

use super::{Address, build};
use crate::client::Client;
use crate::error::Error;
use crate::progress::Progress;
use crate::scenario::Scenario;
use crate::settings::{Limits, Settings};

/// Waits on a pipe that only the suite holds open; when it closes, the service is told to end.
const WATCHER: &str = "trap '' HUP INT QUIT TERM\nread -r never\nkill -TERM \"$1\"\n";
/// The first start makes a database cluster, on whatever disk there is.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Draining, and an orderly end of both stores.
const END_LIMIT: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(20);
/// Variables of our environment that the service may see. Not more: `DATABASE_URL` and the like could lead a load run
/// to production stores.
const PASSED_ON: &[&str] = &["PATH", "HOME", "TMPDIR", "LANG", "PG_BIN", "REDIS_BIN"];

/// The running service.
pub(super) struct Private {
    service: Child,
    watcher: Child,
    /// Public listener.
    pub(super) public: SocketAddr,
    /// Internal listener.
    pub(super) admin: SocketAddr,
    /// After the processes, so that it is removed after their end.
    folder: ThrowawayFolder,
}

impl Private {
    /// Builds it where needed, starts it and waits until it is ready.
    pub(super) async fn start(settings: &Settings, progress: Progress) -> Result<Self, Error> {
        let binary = match &settings.binary {
            Some(binary) => binary.clone(),
            None => build::fresh_binary(progress)?,
        };
        let dev = |error: sallyport::dev::Error| Error::Target(error.to_string());
        let folder = ThrowawayFolder::inside(&std::env::temp_dir()).map_err(dev)?;
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (public, admin) = (here(free_port()), here(free_port()));
        progress.say("starting a private service with its stores");
        let log = log_file(folder.path())?;
        let mut command = Command::new(&binary);
        command
            .arg("dev")
            .env_clear()
            .envs(PASSED_ON.iter().filter_map(passed_on))
            .envs(environment(settings, public, admin, folder.path()))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(Error::io("opening the log"))?)
            .stderr(log)
            .process_group(0);
        let starting = Error::io(format!("starting {}", binary.display()));
        let service = command.spawn().map_err(starting)?;
        let watcher = watch(service.id())?;
        let mut private = Self {
            service,
            watcher,
            public,
            admin,
            folder,
        };
        private.wait_until_ready().await?;
        Ok(private)
    }

    async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let address = Address::new(self.admin, &self.admin.to_string(), "")?;
        let mut client = Client::new(Arc::new(address), None, Duration::from_secs(5));
        let watch = Stopwatch::start();
        while client.fetch(Uri::from_static("/ready")).await.status != 200 {
            let ended = self.service.try_wait().ok().flatten();
            if ended.is_some() || watch.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(self.folder.path().join(LOG));
                return Err(Error::Target(format!(
                    "the private service did not start. Its log:\n{}",
                    log.unwrap_or_default()
                )));
            }
            clock::sleep(POLL).await;
        }
        Ok(())
    }

    /// URL of its Redis.
    pub(super) fn redis_url(&self) -> Result<String, Error> {
        let read = |name: &str| {
            let path = self.folder.path().join("data/redis").join(name);
            let text = std::fs::read_to_string(path);
            text.map_err(Error::io(format!("reading Redis's {name}")))
        };
        let (port, password) = (read("port")?, read("password")?);
        Ok(format!(
            "redis://:{}@127.0.0.1:{}",
            password.trim(),
            port.trim()
        ))
    }

    /// Ends it in an orderly way, and with force when that takes too long.
    pub(super) async fn end(mut self) {
        send(&self.service, Signal::SIGTERM);
        let watch = Stopwatch::start();
        while matches!(self.service.try_wait(), Ok(None)) && watch.elapsed() < END_LIMIT {
            clock::sleep(POLL).await;
        }
    }
}

impl Drop for Private {
    /// By force, where [`Private::end`] was not reached: its stores are then ended by watchers of its own.
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

const LOG: &str = "service.log";

fn log_file(folder: &Path) -> Result<File, Error> {
    File::create(folder.join(LOG)).map_err(Error::io("making the log"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "programs are found as in the suite's own environment"
)]
fn passed_on(name: &&'static str) -> Option<(&'static str, OsString)> {
    Some((name, std::env::var_os(name)?))
}

/// Limits that logins and registrations take from.
const WIDENED: [&str; 5] = [
    "LIMIT_LOGIN_ACCOUNT_ADDRESS",
    "LIMIT_LOGIN_ACCOUNT",
    "LIMIT_LOGIN_ADDRESS",
    "LIMIT_LOGIN_SUCCESS",
    "LIMIT_REGISTER",
];

fn environment(
    settings: &Settings,
    public: SocketAddr,
    admin: SocketAddr,
    folder: &Path,
) -> Vec<(String, String)> {
    let argon2 = settings.argon2;
    // Without limits no address has a share of the hash queue, and shares are part of what `overload` is about.
    let wide = settings.scenario == Scenario::Overload;
    let limits = match settings.limits {
        Limits::Off if !wide => "off",
        Limits::Off | Limits::On => "on",
    };
    let widened = WIDENED.iter().filter(|_| wide);
    let widened = widened.map(|name| (*name, "1000000/1s".to_owned()));
    let own = [
        ("PORT", public.port().to_string()),
        ("ADMIN_ADDR", admin.to_string()),
        ("DATA_DIR", folder.join("data").display().to_string()),
        ("RATE_LIMITS", limits.to_owned()),
        ("ARGON2_MEMORY_KIB", argon2.memory_kib.to_string()),
        ("ARGON2_ITERATIONS", argon2.iterations.to_string()),
        ("ARGON2_PARALLELISM", argon2.parallelism.to_string()),
        ("TOTP_SKEW_STEPS", settings.totp_skew_steps.to_string()),
        // So that users can come from many addresses.
        ("TRUSTED_PROXIES", "127.0.0.1/32".to_owned()),
        ("LOG_FORMAT", "text".to_owned()),
        ("RUST_LOG", "warn".to_owned()),
    ];
    let own = own.into_iter().chain(widened);
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let asked = settings.service.clone();
    own.chain(asked).collect()
}

fn watch(service: u32) -> Result<Child, Error> {
    Command::new("/bin/sh")
        .args(["-c", WATCHER, "load-watcher"])
        .arg(service.to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(Error::io("starting /bin/sh"))
}

fn send(service: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(service.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_comes_after_what_the_suite_sets() {
        let mut settings = Settings::of(Scenario::Me);
        settings
            .service
            .insert("RUST_LOG".to_owned(), "info".to_owned());
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let all = environment(&settings, here, here, Path::new("/x"));
        let logs: Vec<&str> = all
            .iter()
            .filter(|(name, _)| name == "RUST_LOG")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(logs, ["warn", "info"]);
        assert!(all.contains(&("RATE_LIMITS".to_owned(), "off".to_owned())));
        let settings = Settings::of(Scenario::Overload);
        let all = environment(&settings, here, here, Path::new("/x"));
        assert!(all.contains(&("RATE_LIMITS".to_owned(), "on".to_owned())));
    }

    #[test]
    fn stores_of_the_environment_are_never_passed_on() {
        for name in PASSED_ON {
            assert!(!name.ends_with("_URL") && !name.contains("KEY"), "{name}");
        }
    }
}
