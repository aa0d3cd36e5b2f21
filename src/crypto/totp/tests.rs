//! The published vectors, the window, and the QR code as scanners read it.

use std::collections::HashMap;

use super::*;

fn rfc_secret() -> TotpSecret {
    TotpSecret::from_bytes(b"12345678901234567890").expect("20 bytes")
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn at_step(step: i64) -> Timestamp {
    seconds(step * STEP_SECONDS)
}

fn digits(text: &str) -> SixDigits {
    SixDigits::parse(text).expect("six digits")
}

/// The code that an authenticator shows during a step.
fn code_at(secret: &TotpSecret, step: i64) -> SixDigits {
    digits(&secret.code_at(at_step(step)))
}

/// RFC 4226, appendix D: the same secret, counters 0 to 9.
#[test]
fn the_vectors_of_rfc_4226_are_met() {
    let secret = rfc_secret();
    for (counter, code) in (0..).zip([
        "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
        "520489",
    ]) {
        let found = secret.matching_step(&digits(code), at_step(counter), 0, -1);
        assert_eq!(found, Some(counter), "{code}");
    }
}

/// RFC 6238, appendix B, SHA-1: the last six of its eight digits.
#[test]
fn the_vectors_of_rfc_6238_are_met() {
    let secret = rfc_secret();
    for (time, step, code) in [
        (59, 0x1, "94287082"),
        (1_111_111_109, 0x0235_23EC, "07081804"),
        (1_111_111_111, 0x0235_23ED, "14050471"),
        (1_234_567_890, 0x0273_EF07, "89005924"),
        (2_000_000_000, 0x03F9_40AA, "69279037"),
        (20_000_000_000, 0x27BC_86AA, "65353130"),
    ] {
        assert_eq!(step_at(seconds(time)), step, "{time}");
        let found = secret.matching_step(&digits(&code[2..]), seconds(time), 0, 0);
        assert_eq!(found, Some(step), "{time}");
    }
}

#[test]
fn a_step_lasts_thirty_seconds_and_time_before_the_epoch_has_no_codes() {
    for (time, step) in [
        (0, 0),
        (29, 0),
        (30, 1),
        (59, 1),
        (60, 2),
        (-1, -1),
        (-30, -1),
    ] {
        assert_eq!(step_at(seconds(time)), step, "{time}");
    }
    let secret = rfc_secret();
    let first = code_at(&secret, 0);
    assert_eq!(secret.matching_step(&first, seconds(0), 1, -9), Some(0));
    assert_eq!(secret.matching_step(&first, seconds(-30), 1, -9), Some(0));
    assert_eq!(secret.matching_step(&first, seconds(-31), 1, -9), None);
    let far = Timestamp::from_micros(i64::MIN);
    assert_eq!(secret.matching_step(&first, far, 255, i64::MIN), None);
    let far = Timestamp::from_micros(i64::MAX);
    assert_eq!(secret.matching_step(&first, far, 0, i64::MAX), None);
}

#[test]
fn a_clock_may_drift_by_the_skew_and_no_further() {
    let (secret, now) = (TotpSecret::generate(), 60_000_000);
    for skew in [0, 1, 2, 5] {
        for drift in -7..=7 {
            let code = code_at(&secret, now + drift);
            let found = secret.matching_step(&code, at_step(now), skew, 0);
            // By chance (1 in 100 000) a nearer step has the same code.
            let expected = (drift.abs() <= i64::from(skew)).then_some(now + drift);
            let twins = (now - i64::from(skew)..=now + i64::from(skew))
                .filter(|step| code_at(&secret, *step).as_str() == code.as_str());
            assert_eq!(found, twins.min(), "{drift} {skew}");
            assert!(expected.is_none() || found.is_some(), "{drift} {skew}");
        }
    }
}

#[test]
fn a_step_counts_once_and_never_before_another() {
    let (secret, now) = (rfc_secret(), 60_000_000);
    let code = code_at(&secret, now);
    for (after, found) in [
        (now - 2, Some(now)),
        (now - 1, Some(now)),
        (now, None),
        (now + 1, None),
    ] {
        assert_eq!(secret.matching_step(&code, at_step(now), 1, after), found);
        let late = secret.matching_step(&code, at_step(now + 1), 1, after);
        assert_eq!(late, found, "the same code a step later");
    }
}

/// Of two steps with the same code the older one matches; once that is used, the newer one still counts.
#[test]
fn of_twins_the_oldest_counts_first() {
    let secret = rfc_secret();
    let mut seen = HashMap::new();
    let twins = (0..20_000).find_map(|step| {
        let code = code_at(&secret, step).as_str().to_owned();
        let old = seen.insert(code, step)?;
        (step - old < 250).then_some((old, step))
    });
    let (old, new) = twins.expect("two equal codes within 250 steps");
    let code = code_at(&secret, old);
    let now = at_step(i64::midpoint(old, new));
    assert_eq!(secret.matching_step(&code, now, 250, old - 1), Some(old));
    assert_eq!(secret.matching_step(&code, now, 250, old), Some(new));
}

#[test]
fn a_wrong_code_matches_nothing() {
    let (secret, now) = (rfc_secret(), 60_000_000);
    let valid: Vec<_> = (now - 1..=now + 1)
        .map(|step| code_at(&secret, step))
        .collect();
    let matches = (0..SixDigits::COUNT)
        .step_by(97)
        .map(SixDigits::of)
        .chain(valid.iter().cloned())
        .filter(|code| secret.matching_step(code, at_step(now), 1, 0).is_some())
        .filter(|code| !valid.iter().any(|valid| valid.as_str() == code.as_str()));
    assert_eq!(matches.count(), 0);
}

#[test]
fn a_secret_is_160_bits_of_its_own() {
    let (one, two) = (TotpSecret::generate(), TotpSecret::generate());
    assert_eq!(one.as_bytes().len(), 20);
    assert_ne!(one.as_bytes(), two.as_bytes());
    let again = TotpSecret::from_bytes(one.as_bytes()).expect("20 bytes");
    assert_eq!(again.as_bytes(), one.as_bytes());
    for length in [0, 16, 19, 21, 32] {
        assert!(TotpSecret::from_bytes(&vec![7; length]).is_none());
    }
    assert_eq!(format!("{one:?}"), "TotpSecret(…)");
}

/// RFC 4648 has no vector this long; this one is in every tutorial.
#[test]
fn a_secret_is_recognised_in_base32_however_it_is_written() {
    let secret = rfc_secret();
    let text = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    assert_eq!(*secret.base32(), text);
    let spaced = "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ\n";
    for same in [text, &text.to_lowercase(), spaced] {
        assert!(secret.is(same), "{same}");
    }
    let longer = format!("{text}A");
    for other in [
        "",
        &text[..31],
        &longer,
        &"A".repeat(1 << 20),
        "gezdgnbvgy3tqojqgezdgnbvgy3tqojr",
    ] {
        assert!(!secret.is(other));
    }
}

#[test]
fn the_url_is_what_authenticators_read() {
    assert_eq!(
        *rfc_secret().otpauth_url("Sallyport", "alice@example.com"),
        "otpauth://totp/Sallyport:alice%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Sallyport"
    );
}

/// Names that try to inject another secret, another issuer, another URL.
const HOSTILE: &[&str] = &[
    "",
    " ",
    ":",
    "::::",
    "a:b:c",
    "%3A",
    "%",
    "100%",
    "x?secret=AAAAAAAA&issuer=Evil",
    "x#fragment",
    "../../etc",
    "a/b\\c",
    "a&b=c",
    "line\r\nbreak\0\u{1b}[31m",
    "Ünïcödé",
    "日本語",
    "👩‍👩‍👧‍👦",
    "\u{202e}drowssap",
];

#[test]
fn no_name_breaks_the_url() {
    let secret = rfc_secret();
    let long = [
        "x".repeat(5000),
        "ß".repeat(5000),
        "👩".repeat(5000),
        ":".repeat(5000),
    ];
    let all: Vec<&str> = HOSTILE
        .iter()
        .copied()
        .chain(long.iter().map(String::as_str))
        .collect();
    for issuer in &all {
        for account in &all {
            let text = secret.otpauth_url(issuer, account);
            assert!(text.is_ascii() && text.len() < 2000, "{text:?}");
            let url = url::Url::parse(&text).expect("a URL");
            assert_eq!((url.scheme(), url.host_str()), ("otpauth", Some("totp")));
            assert_eq!(url.fragment(), None);
            let query: Vec<_> = url.query_pairs().into_owned().collect();
            assert_eq!(query[0], ("secret".to_owned(), secret.base32().to_string()));
            let named = plain(issuer, MAX_ISSUER_BYTES);
            let issuers: Vec<_> = query[1..]
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect();
            let expected = (!named.is_empty()).then_some(("issuer", named.as_str()));
            assert_eq!(issuers, expected.into_iter().collect::<Vec<_>>());
            assert!(
                url.path().len() > 1 && !url.path()[1..].contains('/'),
                "{text:?}"
            );
            let read = Totp::from_url(&*text).expect("its own reader reads it");
            assert_eq!(read.secret().as_bytes(), secret.as_bytes());
            assert_eq!(read.issuer().unwrap_or_default(), named);
        }
    }
}

#[test]
fn what_a_name_means_survives() {
    for (name, kept) in [
        ("alice@example.com", "alice@example.com"),
        ("  ACME: the company ", "ACME  the company"),
        ("50% off", "50% off"),
        ("日本語", "日本語"),
        ("", ""),
    ] {
        assert_eq!(plain(name, 64), kept);
    }
    assert_eq!(plain(&"ß".repeat(64), 63), "ß".repeat(31));
}

/// The text that a scanner finds in a PNG.
fn scanned(png: &[u8]) -> String {
    let picture = image::load_from_memory_with_format(png, image::ImageFormat::Png);
    let grey = picture.expect("a PNG").into_luma8();
    let mut prepared = rqrr::PreparedImage::prepare(grey);
    let grids = prepared.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().expect("readable").1
}

#[test]
fn a_scanner_reads_the_url_from_the_picture() {
    let secret = TotpSecret::generate();
    let longest = [
        "ß".repeat(32),
        format!("{}@{}.com", "a".repeat(64), "b".repeat(185)),
        "ß".repeat(127),
    ];
    for (issuer, account) in [
        ("Sallyport", "alice"),
        ("Sallyport", "alice@example.com"),
        ("ACME: Ünïcödé 100%", "日本語@example.com"),
        ("", ""),
        (&longest[0], &longest[1]),
    ] {
        let png = secret.qr_png(issuer, account).expect("draws");
        assert_eq!(scanned(&png), *secret.otpauth_url(issuer, account));
    }
    // The worst that the bounds allow fits, even if few phones would read it from a screen.
    assert!(secret.qr_png(&longest[0], &longest[2]).is_ok());
}

#[test]
fn a_secret_is_read_from_its_text_as_people_type_it() {
    let secret = rfc_secret();
    let text = secret.base32();
    let typed = format!(" {} {}", text[..16].to_lowercase(), &text[16..]);
    let read = TotpSecret::from_base32(&typed).expect("a secret");
    assert_eq!(read.as_bytes(), secret.as_bytes());
    assert_eq!(read.code_at(seconds(59)), "287082");
    for bad in ["", "JBSWY3DPEHPK3PXP", "0189", &text[1..]] {
        assert!(TotpSecret::from_base32(bad).is_none(), "{bad}");
    }
}
