//! Access tokens: any text is answered, no forgery passes, and whatever our own key has signed is read or refused.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use pasetors::keys::AsymmetricSecretKey;
use pasetors::version4::{PublicToken, V4};
use sallyport::clock::Clock;
use sallyport::config;
use sallyport::crypto::{AccessTokens, Claims, IMPLICIT_ASSERTION, Keys};
use sallyport::model::{Timestamp, UserId};
use serde::Serialize;

/// Everything that verifies, and the one key that signs.
struct Service {
    tokens: AccessTokens,
    secret: AsymmetricSecretKey<V4>,
    footer: String,
    now: Timestamp,
    valid: String,
}

/// Other keys in every run: of a find, the input tells what was done to a token.
static SERVICE: LazyLock<Service> = LazyLock::new(|| {
    let clock = Clock::system();
    let now = clock.now();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    Keys::generate(&path, now).expect("writes");
    let tokens = AccessTokens::new(
        &Keys::load(&path).expect("reads"),
        &config::Tokens::default(),
    );
    let file = std::fs::read(&path).expect("reads");
    let file: serde_json::Value = serde_json::from_slice(&file).expect("JSON");
    let text = |name: &str| file["signingKeys"][0][name].as_str().expect("a text");
    let user_id: UserId = clock.new_id();
    let valid = tokens.issue(&Claims {
        user_id,
        session_id: clock.new_id_in(user_id.partition()),
        issued_at: now,
        expires_at: now.after(Duration::from_hours(24)),
        auth_time: now,
        amr: vec!["pwd".to_owned()],
        roles: vec![],
    });
    Service {
        secret: AsymmetricSecretKey::try_from(text("secret")).expect("a key"),
        footer: format!(r#"{{"kid":"{}"}}"#, text("kid")),
        tokens,
        now,
        valid,
    }
});

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Text(&'a str),
    /// A token of ours with something before and behind it.
    Surrounded {
        before: &'a str,
        behind: &'a str,
    },
    /// A token of ours with something in place of `cut` characters.
    Edited {
        at: u16,
        cut: u8,
        with: &'a str,
    },
    Signed(&'a [u8]),
    SignedClaims(Payload<'a>),
}

/// Claims of any content; issuer and audience are ours, or nothing behind them would be looked at.
#[derive(Arbitrary, Debug, Serialize)]
struct Payload<'a> {
    #[arbitrary(value = "sallyport")]
    iss: &'static str,
    #[arbitrary(value = "sallyport")]
    aud: &'static str,
    sub: &'a str,
    sid: &'a str,
    iat: &'a str,
    exp: &'a str,
    auth_time: &'a str,
    amr: Vec<&'a str>,
    roles: Vec<&'a str>,
}

fuzz_target!(|input: Input| {
    let service = &*SERVICE;
    match input {
        Input::Text(text) => refused_unless_valid(text),
        Input::Surrounded { before, behind } => {
            refused_unless_valid(&format!("{before}{}{behind}", service.valid));
        }
        Input::Edited { at, cut, with } => {
            let mut text = service.valid.clone();
            let at = usize::from(at) % (text.len() + 1);
            let end = text.len().min(at + usize::from(cut % 8));
            text.replace_range(at..end, with);
            refused_unless_valid(&text);
        }
        Input::Signed(payload) => read_or_refused(payload),
        Input::SignedClaims(payload) => {
            let payload = serde_json::to_vec(&payload).expect("JSON");
            read_or_refused(&payload);
        }
    }
});

fn refused_unless_valid(text: &str) {
    let service = &*SERVICE;
    let valid = text == service.valid;
    // Twice: what was verified once is remembered.
    for _ in 0..2 {
        assert_eq!(
            service.tokens.verify(text, service.now).is_ok(),
            valid,
            "{text:?}"
        );
    }
    assert_eq!(
        service.tokens.verify_expired(text).is_ok(),
        valid,
        "{text:?}"
    );
}

/// An access token lets in for no longer than it is read at all.
fn read_or_refused(payload: &[u8]) {
    let service = &*SERVICE;
    let footer = Some(service.footer.as_bytes());
    let assertion = Some(IMPLICIT_ASSERTION.as_bytes());
    let Ok(token) = PublicToken::sign(&service.secret, payload, footer, assertion) else {
        return;
    };
    let whenever = service.tokens.verify_expired(&token);
    if let Ok(claims) = service.tokens.verify(&token, service.now) {
        assert_eq!(whenever, Ok(claims));
    }
}
