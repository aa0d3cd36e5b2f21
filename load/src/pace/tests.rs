use super::*;
use crate::client::Answer;
use crate::record::{Percentiles, Sample};
use crate::route::Route;

const MILLISECOND: Duration = Duration::from_millis(1);
const SERVED_IN: Duration = Duration::from_millis(2);
const PHASE: Duration = Duration::from_secs(20);
const STALL: std::ops::Range<Duration> = Duration::from_secs(5)..Duration::from_secs(6);

/// A service that does one thing at a time and stalls for a second.
#[derive(Default)]
struct Stalling {
    free_at: Duration,
}

impl Stalling {
    /// Time of the answer to a request of `asked`.
    fn answers(&mut self, asked: Duration) -> Duration {
        let begins = asked.max(self.free_at);
        let begins = if STALL.contains(&begins) {
            STALL.end
        } else {
            begins
        };
        self.free_at = begins + SERVED_IN;
        self.free_at
    }
}

fn note(ledger: &Ledger, due: Option<Duration>, started: Duration, ended: Duration) {
    let answer = Answer {
        status: 200,
        retry_after: false,
        body: bytes::Bytes::new(),
    };
    ledger.note(&Sample {
        route: Route::Me,
        due,
        started,
        ended,
        answer: &answer,
    });
}

/// One virtual user that goes on as soon as it is answered.
fn closed_loop() -> Percentiles {
    let ledger = Ledger::begin(Duration::ZERO, PHASE, &[]);
    let mut service = Stalling::default();
    let mut now = Duration::ZERO;
    while now < PHASE {
        let ended = service.answers(now);
        note(&ledger, None, now, ended);
        now = ended;
    }
    ledger.summary(PHASE).rows[0].latency
}

/// 100 per second with at most `most` in flight, looked at once in a millisecond.
fn open_loop(most: usize) -> (Percentiles, u64) {
    let ledger = Ledger::begin(Duration::ZERO, PHASE, &[]);
    let (mut service, mut schedule) = (Stalling::default(), Schedule::new(100.0));
    let mut in_flight: Vec<Duration> = Vec::new();
    let mut now = Duration::ZERO;
    while now < PHASE {
        in_flight.retain(|ended| *ended > now);
        while let Some(due) = schedule.next_due(now) {
            if in_flight.len() < most {
                let ended = service.answers(now);
                note(&ledger, Some(due), now, ended);
                in_flight.push(ended);
            } else {
                ledger.miss(due);
            }
        }
        now += MILLISECOND;
    }
    let summary = ledger.summary(PHASE);
    (summary.rows[0].latency, summary.missed)
}

#[test]
fn stall_is_hidden_by_a_closed_loop_and_seen_by_an_open_one() {
    let closed = closed_loop();
    let (open, missed) = open_loop(1000);
    assert!(closed.p99 < 5_000, "{closed:?}");
    assert!(closed.max > 900_000, "{closed:?}");
    assert!(open.p99 > 500_000, "{open:?}");
    assert!(open.p50 < 5_000, "{open:?}");
    assert_eq!(missed, 0);
}

#[test]
fn turns_that_find_no_user_idle_are_missed_and_counted() {
    let (_, missed) = open_loop(10);
    // 100 fall into the stall, and 10 of them wait it out.
    assert!((85..=95).contains(&missed), "{missed}");
}

#[test]
fn schedule_keeps_its_rate_however_late_it_is_looked_at() {
    let mut schedule = Schedule::new(3.0);
    let mut begun = 0;
    for now in [0, 100, 5000, 5001, 100_000].map(Duration::from_millis) {
        while let Some(due) = schedule.next_due(now) {
            assert!(due <= now);
            begun += 1;
        }
        assert!(schedule.pause(now) <= Duration::from_millis(334));
    }
    assert_eq!(begun, 301);
}

#[test]
fn gate_counts_turns_and_closes() {
    let stop = CancellationToken::new();
    let ledger = Arc::new(Ledger::begin(Duration::ZERO, PHASE, &[]));
    let gate = Gate::new(stop.clone(), ledger, Some(2));
    assert!(gate.admits() && gate.admits() && !gate.admits());

    let warm = Arc::new(Ledger::begin(PHASE, PHASE, &[]));
    let gate = Gate::new(stop.clone(), warm, Some(1));
    assert!((0..10).all(|_| gate.admits()), "warm-up is free");
    stop.cancel();
    assert!(!gate.admits());
}
