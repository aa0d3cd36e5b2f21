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
use crate::target::{Place, Target};
use crate::visitor::{Turn, Visitor};

/// How often the bar moves, and after how many of that the service is read.
const TICK: Duration = Duration::from_millis(250);
const TICKS_PER_READING: u32 = 4;

/// Ends a run early, with what was measured until then.
#[derive(Clone, Debug)]
pub(crate) struct Stop(CancellationToken);

impl Stop {
    /// On Ctrl-C, or when told to end. A second time ends the suite at once.
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
            // What is left is ended by its watchers.
            std::process::exit(130);
        });
        Ok(Self(token))
    }

    /// Whether it was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// What a phase is, besides who does what.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    /// Name in the report.
    pub(crate) name: String,
    /// Turns per second; without it a closed loop.
    pub(crate) rate: Option<f64>,
    /// Not counted.
    pub(crate) warm_up: Duration,
    /// Of what is measured.
    pub(crate) length: Duration,
    /// Ends it earlier.
    pub(crate) turns: Option<u64>,
    /// Statuses that are no failures when they carry Retry-After.
    pub(crate) intended: &'static [u16],
    /// Beside another phase: no bar and no readings of its own.
    pub(crate) beside: bool,
}

impl Phase {
    /// As the settings say.
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

/// What every scenario works with.
pub(crate) struct Run {
    /// The service.
    pub(crate) target: Target,
    /// What was asked for.
    pub(crate) settings: Settings,
    /// Ctrl-C.
    pub(crate) stop: Stop,
    /// For the person who waits.
    pub(crate) progress: Progress,
}

/// Plays the scenario of `settings`.
pub(crate) async fn scenario(
    settings: Settings,
    place: Place,
    stop: Stop,
    progress: Progress,
) -> Result<Report, Error> {
    let began_at = Clock::system().now();
    let opening = Target::open(&place, &settings, progress);
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
    // A ratio to nothing is none, and JSON could not hold it.
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
    /// Lets visitors take turns, and returns them with what came of it.
    pub(crate) async fn phase<T: Turn>(
        &self,
        phase: &Phase,
        turn: T,
        mut visitors: Vec<Visitor>,
    ) -> (PhaseReport, Vec<Visitor>) {
        let ledger = Arc::new(Ledger::begin(phase.warm_up, phase.length, phase.intended));
        for visitor in &mut visitors {
            visitor.write_to(&ledger);
        }
        let crowd = visitors.len();
        let total = phase.warm_up + phase.length;
        let stop = self.stop.0.child_token();
        let gate = Arc::new(Gate::new(stop.clone(), Arc::clone(&ledger), phase.turns));
        let watching = tokio::spawn(self.observer(phase, &ledger).observe(stop.clone()));
        let turn = Arc::new(turn);
        let playing = async {
            let visitors = match phase.rate {
                None => pace::closed(&gate, &turn, visitors).await,
                Some(rate) => pace::open(&gate, &turn, visitors, rate).await,
            };
            stop.cancel();
            visitors
        };
        let timing = async {
            stop.run_until_cancelled(clock::sleep(total)).await;
            stop.cancel();
        };
        let (visitors, ()) = tokio::join!(playing, timing);
        let observed = watching.await.unwrap_or_default();
        let report = PhaseReport {
            name: phase.name.clone(),
            rate: phase.rate,
            visitors: crowd,
            summary: ledger.summary(ledger.now().min(total)),
            server: observed.server,
            client_cores_busy: observed.client_cores_busy,
        };
        (report, visitors)
    }

    /// Lets visitors take turns that nobody counts, until all are spent.
    ///
    /// # Errors
    /// [`Error::Target`] with the first trouble that a visitor had; [`Error::Interrupted`].
    pub(crate) async fn prepare<T: Turn>(
        &self,
        what: &str,
        turn: T,
        visitors: Vec<Visitor>,
    ) -> Result<Vec<Visitor>, Error> {
        self.progress.say(what);
        let ledger = Arc::new(Ledger::closed());
        let gate = Arc::new(Gate::new(self.stop.0.clone(), ledger, None));
        let visitors = pace::closed(&gate, &Arc::new(turn), visitors).await;
        if self.stop.is_asked() {
            return Err(Error::Interrupted);
        }
        match visitors.iter().find_map(|visitor| visitor.trouble.clone()) {
            Some(trouble) => Err(Error::Target(format!("{what}: {trouble}"))),
            None => Ok(visitors),
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

/// Looks at a phase while it goes on.
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
