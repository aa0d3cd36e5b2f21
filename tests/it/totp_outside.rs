//! TOTP against implementations that nobody here wrote: `oathtool`, and another library.

use std::process::Command;

use sallyport::clock;
use sallyport::crypto::{TotpSecret, step_at};
use sallyport::model::{SixDigits, Timestamp};
use totp_rfc6238::TotpGenerator;

/// Seconds: the epoch, the vectors of RFC 6238, both sides of a step, and beyond 32 bits.
const TIMES: &[i64] = &[
    0,
    29,
    30,
    59,
    1_111_111_109,
    1_111_111_111,
    1_234_567_890,
    1_799_999_999,
    1_800_000_000,
    2_000_000_000,
    2_147_483_647,
    4_294_967_296,
    20_000_000_000,
];

/// Codes that `oathtool` makes for the step of `seconds` and for those after it.
fn oathtool(secret: &TotpSecret, seconds: i64, count: usize) -> Vec<SixDigits> {
    let output = Command::new("oathtool")
        .args(["--totp=sha1", "--base32", "--digits=6"])
        .arg(format!("--now=@{seconds}"))
        .arg(format!("--window={}", count - 1))
        .arg(secret.base32().as_str())
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("oathtool could not be started ({error}): install the package `oathtool`")
    });
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "oathtool failed: {told}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let codes: Vec<_> = printed.lines().filter_map(SixDigits::parse).collect();
    assert_eq!(codes.len(), count, "{printed}");
    codes
}

/// Whether `code` is the code of exactly the step that `seconds` lie in.
fn is_code_at(secret: &TotpSecret, seconds: i64, code: &SixDigits) -> bool {
    let now = Timestamp::from_micros(seconds * 1_000_000);
    secret.matching_step(code, now, 0, -1) == Some(step_at(now))
}

#[test]
fn oathtool_makes_the_codes_that_are_accepted() {
    for round in 0..20 {
        let secret = TotpSecret::generate();
        for start in TIMES {
            let codes = oathtool(&secret, *start, 5);
            for (seconds, code) in (*start..).step_by(30).zip(&codes) {
                assert!(is_code_at(&secret, seconds, code), "{round} {seconds}");
            }
        }
    }
}

#[test]
fn a_code_of_oathtool_counts_within_the_drift_once() {
    let secret = TotpSecret::generate();
    let start = 1_800_000_000;
    let (first, now) = (start / 30, Timestamp::from_micros((start + 60) * 1_000_000));
    let codes = oathtool(&secret, start, 5);
    let mut last = 0;
    let found = codes.iter().map(|code| {
        let step = secret.matching_step(code, now, 1, last);
        last = step.unwrap_or(last);
        assert_eq!(secret.matching_step(code, now, 1, last), None, "replayed");
        step
    });
    let found: Vec<_> = found.collect();
    let expected = [
        None,
        Some(first + 1),
        Some(first + 2),
        Some(first + 3),
        None,
    ];
    assert_eq!(found, expected);
}

#[test]
fn another_library_makes_the_codes_that_are_accepted() {
    let generator = TotpGenerator::new().build();
    for round in 0..500 {
        let secret = TotpSecret::generate();
        let random = i64::from(u32::from_le_bytes(clock::random()));
        for seconds in TIMES.iter().copied().chain([random]) {
            let time = || u64::try_from(seconds).unwrap();
            let code = generator.get_code_with(secret.as_bytes(), time);
            let code = SixDigits::parse(&code).unwrap();
            assert!(is_code_at(&secret, seconds, &code), "{round} {seconds}");
        }
    }
}
