//! Acceptance and above all refusal of access tokens.

use pasetors::keys::{AsymmetricPublicKey, AsymmetricSecretKey};

use super::*;
use crate::crypto::keys::for_tests;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_123_456);
const MINUTE: Duration = Duration::from_mins(1);

fn settings() -> config::Tokens {
    config::Tokens::default()
}

fn claims() -> Claims {
    let clock = clock::Clock::manual(NOW);
    let user_id: UserId = clock.new_id();
    Claims {
        user_id,
        session_id: clock.new_id_in(user_id.partition()),
        issued_at: NOW,
        expires_at: NOW.after(15 * MINUTE),
        auth_time: NOW,
        amr: vec!["pwd".to_owned()],
        roles: vec!["admin".to_owned()],
    }
}

fn minus(time: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).expect("short");
    Timestamp::from_micros(time.micros() - micros)
}

/// A token of `key` with `payload`, whatever that is.
fn signed(key: &SigningKey, payload: &serde_json::Value, footer: &str, assertion: &str) -> String {
    PublicToken::sign(
        &key.secret,
        payload.to_string().as_bytes(),
        Some(footer.as_bytes()),
        Some(assertion.as_bytes()),
    )
    .expect("signs")
}

fn payload(token: &str) -> serde_json::Value {
    let token = UntrustedToken::<Public, V4>::try_from(token).expect("a token");
    serde_json::from_slice(token.untrusted_payload()).expect("JSON")
}

#[test]
fn a_token_says_what_it_was_issued_for() {
    let keys = for_tests(NOW);
    let tokens = AccessTokens::new(&keys, &settings());
    let claims = claims();
    let token = tokens.issue(&claims);
    // The issuing instance keeps it as verified. Another instance verifies its signature, and then keeps it, too.
    let elsewhere = AccessTokens::new(&keys, &settings());
    for verifier in [&tokens, &elsewhere, &elsewhere] {
        assert_eq!(verifier.verify(&token, NOW), Ok(Arc::new(claims.clone())));
    }
    assert_ne!(token, tokens.issue(&claims), "every token has its own jti");
    assert!(token.len() < 1024, "{}", token.len());
}

#[test]
fn payload_and_footer_are_as_documented() {
    let keys = for_tests(NOW);
    let tokens = AccessTokens::new(&keys, &settings());
    let claims = claims();
    let token = tokens.issue(&claims);
    let mut payload = payload(&token);
    let jti = payload["jti"].take();
    assert_eq!(jti.as_str().map(str::len), Some(22));
    assert_eq!(
        payload,
        serde_json::json!({
            "iss": "sallyport", "aud": "sallyport", "sub": claims.user_id, "sid": claims.session_id,
            "jti": null, "iat": "2027-01-15T08:00:00.123456Z", "nbf": "2027-01-15T08:00:00Z",
            "exp": "2027-01-15T08:15:00.123456Z", "auth_time": "2027-01-15T08:00:00.123456Z",
            "acr": "urn:sallyport:acr:1fa",
            "amr": ["pwd"], "roles": ["admin"],
        })
    );
    let footer = UntrustedToken::<Public, V4>::try_from(&token)
        .expect("a token")
        .untrusted_footer()
        .to_vec();
    let expected = format!(r#"{{"kid":"{}"}}"#, keys.active(NOW).kid);
    assert_eq!(String::from_utf8(footer), Ok(expected));
}

#[test]
fn times_are_checked_with_our_leeway_at_every_use() {
    let claims = claims();
    // From a fresh token, and from one that was verified before.
    for warm in [false, true] {
        let tokens = AccessTokens::new(&for_tests(minus(NOW, MINUTE)), &settings());
        let token = tokens.issue(&claims);
        if warm {
            assert!(tokens.verify(&token, NOW).is_ok());
        }
        let (leeway, tick) = (Duration::from_secs(30), Duration::from_micros(1));
        let early = minus(NOW, leeway);
        let late = claims.expires_at.after(leeway);
        assert!(tokens.verify(&token, early).is_ok());
        assert!(tokens.verify(&token, minus(early, tick)).is_err());
        assert!(tokens.verify(&token, minus(late, tick)).is_ok());
        assert!(tokens.verify(&token, late).is_err());
        assert!(tokens.verify(&token, NOW).is_ok());
    }
}

#[test]
fn a_change_of_any_character_is_noticed() {
    let tokens = AccessTokens::new(&for_tests(NOW), &settings());
    let token = tokens.issue(&claims());
    assert!(tokens.verify(&token, NOW).is_ok());
    for place in 0..token.len() {
        let mut forged = token.clone();
        let other = if &token[place..=place] == "Q" {
            "R"
        } else {
            "Q"
        };
        forged.replace_range(place..=place, other);
        assert!(tokens.verify(&forged, NOW).is_err(), "{place}");
    }
}

#[test]
fn a_token_of_other_keys_issuer_audience_or_kind_is_refused() {
    let keys = for_tests(NOW);
    let tokens = AccessTokens::new(&keys, &settings());
    let token = tokens.issue(&claims());
    let others = [
        (for_tests(NOW), settings()),
        (
            for_tests(NOW),
            config::Tokens {
                issuer: "other".to_owned(),
                ..settings()
            },
        ),
    ];
    for (keys, settings) in &others {
        let foreign = AccessTokens::new(keys, settings).issue(&claims());
        assert!(tokens.verify(&foreign, NOW).is_err());
    }
    let key = keys.active(NOW);
    let (good, ours) = (payload(&token), footer(key));
    assert!(
        tokens
            .verify(&signed(key, &good, &ours, IMPLICIT_ASSERTION), NOW)
            .is_ok()
    );
    for (claim, value) in [
        ("iss", serde_json::json!("sallyport2")),
        ("aud", serde_json::json!("elsewhere")),
        ("aud", serde_json::json!(["sallyport"])),
        ("aud", serde_json::Value::Null),
        ("exp", serde_json::json!(1_900_000_000)),
        ("exp", serde_json::json!("soon")),
        ("sub", serde_json::json!("me")),
    ] {
        let mut bad = good.clone();
        bad[claim] = value;
        let bad = signed(key, &bad, &ours, IMPLICIT_ASSERTION);
        assert!(tokens.verify(&bad, NOW).is_err(), "{claim}");
    }
    for (footer, assertion) in [
        (ours.as_str(), ""),
        (ours.as_str(), "another kind"),
        ("", IMPLICIT_ASSERTION),
        (r#"{"kid":"k4.pid.unknown"}"#, IMPLICIT_ASSERTION),
        (&ours.replace(':', ": "), IMPLICIT_ASSERTION),
    ] {
        let bad = signed(key, &good, footer, assertion);
        assert!(tokens.verify(&bad, NOW).is_err(), "{footer} {assertion}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let tokens = AccessTokens::new(&for_tests(NOW), &settings());
    let token = tokens.issue(&claims());
    let local = token.replacen("v4.public", "v4.local", 1);
    let v2 = token.replacen("v4", "v2", 1);
    let more = token.clone() + ".AAAA";
    let headless = &token["v4.public.".len()..];
    let endless = "v4.public.".to_owned() + &"A".repeat(1 << 20);
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.";
    for bad in [
        "",
        "v4.public.",
        "v4.public..",
        headless,
        &local,
        &v2,
        &more,
        &endless,
        jwt,
        "ä.ö.ü",
    ] {
        assert!(tokens.verify(bad, NOW).is_err());
    }
}

#[test]
fn a_rotation_logs_no_client_out_and_ends_in_time() {
    let mut keys = for_tests(NOW);
    let begins = NOW.after(5 * MINUTE);
    keys.add_signing_key(begins, 15 * MINUTE).expect("adds");
    let tokens = AccessTokens::new(&keys, &settings());
    let issued = |at: Timestamp| {
        tokens.issue(&Claims {
            issued_at: at,
            expires_at: at.after(15 * MINUTE),
            ..claims()
        })
    };
    let (old, last, new) = (
        issued(NOW),
        issued(minus(begins, Duration::from_micros(1))),
        issued(begins),
    );
    let listed = keys.list(NOW);
    for (token, key) in [(&old, 0), (&last, 0), (&new, 1)] {
        let untrusted = UntrustedToken::<Public, V4>::try_from(token.as_str()).expect("a token");
        let footer = String::from_utf8_lossy(untrusted.untrusted_footer()).into_owned();
        assert!(footer.contains(&listed[key].kid));
    }
    assert!(tokens.verify(&old, begins).is_ok());
    assert!(tokens.verify(&last, begins.after(14 * MINUTE)).is_ok());
    assert!(tokens.verify(&new, begins.after(14 * MINUTE)).is_ok());

    // Stolen after its end, the old key makes no token that is accepted, not even one that is cached.
    let end = begins.after(15 * MINUTE).after(settings().leeway);
    let forever = Claims {
        expires_at: end.after(MINUTE),
        ..claims()
    };
    let forever = tokens.issue(&forever);
    assert!(tokens.verify(&forever, minus(end, MINUTE)).is_ok());
    assert!(tokens.verify(&forever, end).is_err());
    // And a key that has not begun is not accepted either.
    assert!(tokens.verify(&new, NOW).is_err());
}

#[test]
fn published_keys_verify_our_tokens() {
    let mut keys = for_tests(NOW);
    let begins = NOW.after(5 * MINUTE);
    keys.add_signing_key(begins, 15 * MINUTE).expect("adds");
    let tokens = AccessTokens::new(&keys, &settings());
    let published = tokens.public_keys(NOW);
    let listed = published["keys"].as_array().expect("a list");
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["version"], "v4");
    assert_eq!(listed[0]["purpose"], "public");
    assert_eq!(listed[0]["notBefore"], NOW.to_string());
    assert_eq!(listed[0]["notAfter"], begins.after(15 * MINUTE).to_string());
    assert_eq!(listed[1]["notAfter"], serde_json::Value::Null);
    assert!(!published.to_string().contains("secret"));

    let token = tokens.issue(&claims());
    let untrusted = UntrustedToken::<Public, V4>::try_from(&token).expect("a token");
    let paserk = listed[0]["paserk"].as_str().expect("text");
    let public = AsymmetricPublicKey::<V4>::try_from(paserk).expect("a key");
    let assertion = Some(IMPLICIT_ASSERTION.as_bytes());
    assert!(PublicToken::verify(&public, &untrusted, None, assertion).is_ok());

    let ended = tokens.public_keys(begins.after(15 * MINUTE));
    assert_eq!(ended["keys"].as_array().map(Vec::len), Some(1));
}

/// Vectors 4-S-1 and 4-S-3 of the PASETO standard, through the functions that we sign and verify with.
#[test]
fn the_standards_vectors_hold() {
    let secret = hex::decode(
        "b4cbfb43df4ce210727d953e4a713307fa19bb7d9f85041438d9e11b942a3774\
         1eb9dbbbbc047c03fd70604e0071f0987e16b28b757225c11f00415d0e20b1a2",
    )
    .expect("hex");
    let secret = AsymmetricSecretKey::<V4>::from(&secret).expect("a key");
    let public = AsymmetricPublicKey::try_from(&secret).expect("a key");
    let payload = br#"{"data":"this is a signed message","exp":"2022-01-01T00:00:00+00:00"}"#;
    let kid = r#"{"kid":"zVhMiPBP9fRf2snEcT7gFTioeA9COcNy9DfgL1W60haN"}"#;
    for (footer, assertion, token) in [
        (
            None,
            None,
            "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDowMCswMDowMCJ9bg_XBBzds8lTZShVlwwKSgeKpLT3yukTw6JUz3W4h_ExsQV-P0V54zemZDcAxFaSeef1QlXEFtkqxT1ciiQEDA",
        ),
        (
            Some(kid.as_bytes()),
            Some(br#"{"test-vector":"4-S-3"}"#.as_slice()),
            "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDowMCswMDowMCJ9NPWciuD3d0o5eXJXG5pJy-DiVEoyPYWs1YSTwWHNJq6DZD3je5gf-0M4JR9ipdUSJbIovzmBECeaWmaqcaP0DQ.eyJraWQiOiJ6VmhNaVBCUDlmUmYyc25FY1Q3Z0ZUaW9lQTlDT2NOeTlEZmdMMVc2MGhhTiJ9",
        ),
    ] {
        let ours = PublicToken::sign(&secret, payload, footer, assertion).expect("signs");
        assert_eq!(ours, token);
        let untrusted = UntrustedToken::<Public, V4>::try_from(token).expect("a token");
        assert!(PublicToken::verify(&public, &untrusted, footer, assertion).is_ok());
    }
}

#[test]
fn an_expired_token_still_says_whose_it_was_and_a_forged_one_never() {
    let keys = for_tests(NOW);
    let tokens = AccessTokens::new(&keys, &settings());
    let claims = claims();
    let token = tokens.issue(&claims);
    let later = NOW.after(60 * MINUTE);
    assert!(tokens.verify(&token, later).is_err());
    assert_eq!(tokens.verify_expired(&token), Ok(Arc::new(claims.clone())));
    let of_others = AccessTokens::new(&for_tests(NOW), &settings());
    assert!(of_others.verify_expired(&token).is_err(), "another key");
    for (member, value) in [("iss", "elsewhere"), ("aud", "elsewhere")] {
        let mut said = payload(&token);
        said[member] = value.into();
        let key = keys.active(NOW);
        let forged = signed(key, &said, &footer(key), IMPLICIT_ASSERTION);
        assert!(tokens.verify_expired(&forged).is_err(), "{member}");
    }
    let (key, said) = (keys.active(NOW), payload(&token));
    let other_kind = signed(key, &said, &footer(key), "something else");
    assert!(tokens.verify_expired(&other_kind).is_err());
    assert!(tokens.verify_expired(&"x".repeat(MAX_LENGTH + 1)).is_err());
}

#[test]
fn acr_tells_whether_a_second_factor_was_shown() {
    let tokens = AccessTokens::new(&for_tests(NOW), &settings());
    let issued = |amr: &[&str]| {
        let amr = amr.iter().map(|proof| (*proof).to_owned()).collect();
        payload(&tokens.issue(&Claims { amr, ..claims() }))["acr"].clone()
    };
    for one in [&["pwd"][..], &["pwd", "trusted_device"], &[]] {
        assert_eq!(issued(one), "urn:sallyport:acr:1fa", "{one:?}");
    }
    for second in ["otp", "sms", "email", "backup_code"] {
        assert_eq!(issued(&["pwd", second]), "urn:sallyport:acr:2fa");
    }
}

#[test]
fn a_token_does_not_count_before_its_nbf() {
    let keys = for_tests(NOW);
    let tokens = AccessTokens::new(&keys, &settings());
    let mut payload = payload(&tokens.issue(&claims()));
    let begin = NOW.after(5 * MINUTE);
    payload["nbf"] = serde_json::json!(begin);
    let key = keys.active(NOW);
    let token = signed(key, &payload, &footer(key), IMPLICIT_ASSERTION);
    let leeway = Duration::from_secs(30);
    // Twice each: the second time from memory.
    for (now, valid) in [
        (NOW, false),
        (NOW, false),
        (minus(begin, leeway), true),
        (begin, true),
        (minus(begin, leeway + Duration::from_micros(1)), false),
    ] {
        assert_eq!(tokens.verify(&token, now).is_ok(), valid, "{now}");
    }
}

#[test]
fn a_token_whose_account_and_session_cannot_belong_together_is_refused() {
    let keys = for_tests(NOW);
    let tokens = AccessTokens::new(&keys, &settings());
    let claims = claims();
    let mut payload = payload(&tokens.issue(&claims));
    let own = claims.user_id.partition();
    let other = crate::model::Partition::all().find(|one| *one != own);
    let session = claims.session_id.id().in_partition(other.expect("many"));
    payload["sid"] = serde_json::json!(session);
    let key = keys.active(NOW);
    let token = signed(key, &payload, &footer(key), IMPLICIT_ASSERTION);
    assert!(tokens.verify(&token, NOW).is_err());
    assert!(tokens.verify_expired(&token).is_err());
}
