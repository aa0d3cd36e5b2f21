//! A run from beginning to end: the target, the phases of a scenario, the report.

use std::sync::Arc;
use std::time::Duration;

use sallyport::clock::{self, Clock};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::machine::{self, Machine};
use crate::pace::{self, Gate};
use crate::progress::{Bar, Progress};
use crate::record::Ledger;
use crate::report::{PhaseReport, Report};
use crate::scenario;
use crate::scrape::{Scraper, ServerFigures};
use crate::settings::Settings;
use crate::target::{Location, Target};
use crate::virtual_user::{Turn, VirtualUser};

/// Interval at which the bar moves, and number of intervals between readings of the service.
const TICK: Duration = Duration::from_millis(250);
const TICKS_PER_READING: u32 = 4;

/// Ends a run early, with what was measured until then.
#[derive(Clone, Debug)]
pub(crate) struct Stop(CancellationToken);

impl Stop {
    /// Stops on Ctrl-C, or on a signal to end. A second one ends the suite at once.
    pub(crate) fn on_ctrl_c() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let listening = |kind| signal(kind).map_err(Error::io("listening to signals"));
        let mut interrupt = listening(SignalKind::interrupt())?;
        let mut terminate = listening(SignalKind::terminate())?;
        let token = CancellationToken::new();
        let stop = token.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            stop.cancel();
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            // Remaining processes are ended by their watchers.
            std::process::exit(130);
        });
        Ok(Self(token))
    }

    /// Whether a stop was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// Parameters of a phase.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    /// Name in the report.
    pub(crate) name: String,
    /// Turns per second; without it a closed loop.
    pub(crate) rate: Option<f64>,
    /// Time before the measurement, not counted.
    pub(crate) warm_up: Duration,
    /// Length of the measurement.
    pub(crate) length: Duration,
    /// Number of turns after which it ends earlier.
    pub(crate) turns: Option<u64>,
    /// Statuses that are no failures when they carry Retry-After.
    pub(crate) intended: &'static [u16],
    /// Whether it runs beside another phase, without a bar and readings of its own.
    pub(crate) beside: bool,
}

impl Phase {
    /// The phase that the settings describe.
    pub(crate) fn of(name: &str, settings: &Settings) -> Self {
        Self {
            name: name.to_owned(),
            rate: settings.rate,
            warm_up: settings.warm_up(),
            length: settings.duration(),
            turns: settings.requests,
            intended: &[],
            beside: false,
        }
    }
}

/// Context of a scenario.
pub(crate) struct Run {
    /// The service.
    pub(crate) target: Target,
    /// The settings.
    pub(crate) settings: Settings,
    /// Ctrl-C.
    pub(crate) stop: Stop,
    /// Progress, for the user of the suite.
    pub(crate) progress: Progress,
}

/// Runs the scenario of `settings`.
pub(crate) async fn scenario(
    settings: Settings,
    location: Location,
    stop: Stop,
    progress: Progress,
) -> Result<Report, Error> {
    let began_at = Clock::system().now();
    let opening = Target::open(&location, &settings, progress);
    let target = stop.0.run_until_cancelled(opening).await;
    let run = Run {
        target: target.ok_or(Error::Interrupted)??,
        settings,
        stop,
        progress,
    };
    let played = scenario::play(&run).await;
    run.target.close().await;
    let (phases, mut findings) = played?;
    // A ratio to zero is not finite, and JSON could not hold it.
    findings.retain(|finding| finding.value.is_finite());
    Ok(Report {
        format: Report::FORMAT,
        began_at: began_at.to_string(),
        machine: Machine::this(),
        interrupted: run.stop.is_asked(),
        settings: run.settings,
        phases,
        findings,
    })
}

impl Run {
    /// Runs the turns of virtual users, and returns the users with the report.
    pub(crate) async fn phase<T: Turn>(
        &self,
        phase: &Phase,
        turn: T,
        mut users: Vec<VirtualUser>,
    ) -> (PhaseReport, Vec<VirtualUser>) {
        let ledger = Arc::new(Ledger::begin(phase.warm_up, phase.length, phase.intended));
        for user in &mut users {
            user.set_ledger(&ledger);
        }
        let connections = users.len();
        let total = phase.warm_up + phase.length;
        let stop = self.stop.0.child_token();
        let gate = Arc::new(Gate::new(stop.clone(), Arc::clone(&ledger), phase.turns));
        let watching = tokio::spawn(self.observer(phase, &ledger).observe(stop.clone()));
        let turn = Arc::new(turn);
        let playing = async {
            let users = match phase.rate {
                None => pace::closed(&gate, &turn, users).await,
                Some(rate) => pace::open(&gate, &turn, users, rate).await,
            };
            stop.cancel();
            users
        };
        let timing = async {
            stop.run_until_cancelled(clock::sleep(total)).await;
            stop.cancel();
        };
        let (users, ()) = tokio::join!(playing, timing);
        let observed = watching.await.unwrap_or_default();
        let report = PhaseReport {
            name: phase.name.clone(),
            rate: phase.rate,
            connections,
            summary: ledger.summary(ledger.now().min(total)),
            server: observed.server,
            client_cores_busy: observed.client_cores_busy,
        };
        (report, users)
    }

    /// Runs turns that are not counted, until all virtual users are done.
    ///
    /// # Errors
    /// [`Error::Target`] with the first failure of a virtual user; [`Error::Interrupted`].
    pub(crate) async fn prepare<T: Turn>(
        &self,
        what: &str,
        turn: T,
        users: Vec<VirtualUser>,
    ) -> Result<Vec<VirtualUser>, Error> {
        self.progress.say(what);
        let ledger = Arc::new(Ledger::closed());
        let gate = Arc::new(Gate::new(self.stop.0.clone(), ledger, None));
        let users = pace::closed(&gate, &Arc::new(turn), users).await;
        if self.stop.is_asked() {
            return Err(Error::Interrupted);
        }
        match users.iter().find_map(|user| user.failure.clone()) {
            Some(failure) => Err(Error::Target(format!("{what}: {failure}"))),
            None => Ok(users),
        }
    }

    fn observer(&self, phase: &Phase, ledger: &Arc<Ledger>) -> Observer {
        let admin = self.target.admin().filter(|_| !phase.beside);
        let bar =
            (!phase.beside).then(|| self.progress.bar(&phase.name, phase.warm_up + phase.length));
        Observer {
            ledger: Arc::clone(ledger),
            warm_up: phase.warm_up,
            scraper: admin.map(Scraper::new),
            bar,
        }
    }
}

/// Observer of a phase: moves the bar and reads the service.
struct Observer {
    ledger: Arc<Ledger>,
    warm_up: Duration,
    scraper: Option<Scraper>,
    bar: Option<Bar>,
}

#[derive(Debug, Default)]
struct Observed {
    server: Option<ServerFigures>,
    client_cores_busy: f64,
}

impl Observer {
    /// Until `stop`. The first reading is at the end of the warm-up, the last at the end of the window.
    async fn observe(mut self, stop: CancellationToken) -> Observed {
        stop.run_until_cancelled(clock::sleep(self.warm_up)).await;
        let began = self.ledger.now();
        let cpu = machine::own_cpu_seconds();
        let mut ticks = 0_u32;
        loop {
            if ticks.is_multiple_of(TICKS_PER_READING) || stop.is_cancelled() {
                self.read().await;
            }
            if stop.is_cancelled() && ticks > 0 {
                break;
            }
            self.show();
            stop.run_until_cancelled(clock::sleep(TICK)).await;
            ticks += 1;
        }
        let seconds = self.ledger.now().saturating_sub(began).as_secs_f64();
        Observed {
            server: self.scraper.and_then(Scraper::figures),
            client_cores_busy: (machine::own_cpu_seconds() - cpu) / seconds.max(1e-9),
        }
    }

    async fn read(&mut self) {
        if let Some(scraper) = &mut self.scraper {
            scraper.read(self.ledger.now()).await;
        }
    }

    fn show(&self) {
        if let Some(bar) = &self.bar {
            let (answered, failed) = self.ledger.counts();
            bar.at(
                self.ledger.now(),
                format!("{answered} answers, {failed} failed"),
            );
        }
    }
}
