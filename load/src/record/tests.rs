use bytes::Bytes;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn answer(status: u16, retry_after: bool, body: &'static str) -> Answer {
    Answer {
        status,
        retry_after,
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn ok() -> Answer {
    answer(200, false, "{}")
}

fn note(ledger: &Ledger, due: Option<u64>, started: u64, ended: u64, answer: &Answer) {
    let millis = Duration::from_millis;
    ledger.note(&Sample {
        route: Route::Login,
        due: due.map(millis),
        started: millis(started),
        ended: millis(ended),
        answer,
    });
}

#[test]
fn latency_counts_from_when_a_request_should_have_begun() {
    let ledger = Ledger::begin(Duration::ZERO, 10 * SECOND, &[]);
    note(&ledger, Some(100), 900, 1000, &ok());
    note(&ledger, None, 900, 1000, &ok());
    let summary = ledger.summary(10 * SECOND);
    let latency = summary.rows[0].latency;
    assert_eq!((latency.p50 / 1000, latency.max / 1000), (100, 900));
    assert_eq!(summary.lateness.unwrap().max / 1000, 800);
}

#[test]
fn rate_is_of_answers_within_the_window_and_latency_of_begins() {
    let ledger = Ledger::begin(SECOND, 2 * SECOND, &[]);
    note(&ledger, None, 100, 500, &ok()); // warm-up alone
    note(&ledger, None, 900, 1100, &ok()); // answered within
    note(&ledger, None, 1500, 1600, &ok()); // both
    note(&ledger, None, 2900, 9900, &ok()); // begun within, and very late
    note(&ledger, None, 3100, 3200, &ok()); // after
    let summary = ledger.summary(3 * SECOND);
    let row = &summary.rows[0];
    assert!((row.rate - 1.0).abs() < 1e-9, "{}", row.rate);
    assert_eq!(row.count, 2);
    assert_eq!(row.latency.max / 10_000, 700);
    assert!((summary.seconds - 2.0).abs() < 1e-9);
}

#[test]
fn run_that_ends_early_is_as_long_as_its_last_answer_says() {
    let ledger = Ledger::begin(Duration::ZERO, 60 * SECOND, &[]);
    note(&ledger, None, 0, 4000, &ok());
    let summary = ledger.summary(3 * SECOND);
    assert!((summary.seconds - 4.0).abs() < 1e-9);
    assert!((summary.rows[0].rate - 0.25).abs() < 1e-9);
}

#[test]
fn refusals_are_intended_only_when_asked_for_and_when_they_say_when_to_come_again() {
    let problem = r#"{"code":"overloaded"}"#;
    let polite = answer(503, true, problem);
    let rude = answer(503, false, problem);
    let ledger = Ledger::begin(Duration::ZERO, 10 * SECOND, &[503]);
    for answer in [
        &polite,
        &rude,
        &answer(429, true, "?"),
        &answer(0, false, "timeout"),
    ] {
        note(&ledger, None, 1, 2, answer);
    }
    let summary = ledger.summary(10 * SECOND);
    let failed: Vec<(u16, u64)> = summary
        .rows
        .iter()
        .map(|row| (row.status, row.failed))
        .collect();
    assert_eq!(failed, [(0, 1), (429, 1), (503, 1)]);
    let codes: Vec<&str> = summary
        .codes
        .iter()
        .map(|line| line.code.as_str())
        .collect();
    assert_eq!(
        codes,
        [
            "timeout",
            "no problem document",
            "overloaded",
            "overloaded without Retry-After"
        ]
    );
}

#[test]
fn time_is_cut_into_slices_by_the_end_of_requests() {
    let ledger = Ledger::begin(SECOND, 40 * SECOND, &[]);
    for ended in [1100, 1200, 5500, 5600, 5700] {
        note(&ledger, None, ended - 50, ended, &ok());
    }
    let summary = ledger.summary(41 * SECOND);
    assert!((summary.slice_seconds - 1.0).abs() < 1e-9);
    let seen: Vec<(usize, u64)> = summary
        .slices
        .iter()
        .map(|slice| (slice.number, slice.moments["POST /auth/login"].count))
        .collect();
    assert_eq!(seen, [(0, 2), (4, 3)]);
}

#[test]
fn what_was_not_done_is_told() {
    let ledger = Ledger::begin(Duration::ZERO, 10 * SECOND, &[]);
    ledger.miss(SECOND);
    ledger.miss(11 * SECOND);
    ledger.skip("no code left");
    let summary = ledger.summary(10 * SECOND);
    assert_eq!(summary.missed, 1);
    assert_eq!(summary.skipped["no code left"], 1);
}
