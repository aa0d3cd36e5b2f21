//! Texts that people type and clients send: names, numbers, codes, ids, user agents. Any text is answered,
//! and what is accepted has one normal form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sallyport::model::{
    BackupCode, Email, ForbiddenWords, Id, Identifier, Password, PhoneNumber, SixDigits, Username,
    device_name,
};

fuzz_target!(|text: &str| {
    email(text);
    username(text);
    codes(text);
    if let Ok(number) = PhoneNumber::parse(text) {
        assert_eq!(number.as_str(), text);
    }
    if let Ok(id) = text.parse::<Id>() {
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(Id::from_bytes(id.to_bytes()), id);
    }
    assert!(!device_name(text).chars().any(char::is_control));
    let (name, password) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let words = ForbiddenWords {
        email_key: name,
        username_key: name,
        service: name,
    };
    let _ = Password::new(password.to_owned()).check(words);
});

fn email(text: &str) {
    let Ok(email) = Email::parse(text) else {
        return;
    };
    let key = email.key();
    assert_eq!(Email::parse(key).as_ref().map(Email::key), Ok(key));
    assert_eq!(key.matches('@').count(), 1);
    for written in [email.as_entered(), key] {
        assert!(!written.chars().any(|c| c.is_control() || c.is_whitespace()));
    }
    let login = Identifier::parse_login(&format!(" {text}\t"));
    assert_eq!(login, Some(Identifier::email(&email)));
}

fn username(text: &str) {
    let Ok(username) = Username::parse(text) else {
        return;
    };
    let key = username.key();
    assert_eq!(Username::parse(key).as_ref().map(Username::key), Ok(key));
    assert_eq!(
        Identifier::parse_login(text),
        Some(Identifier::username(&username))
    );
}

fn codes(text: &str) {
    if let Some(code) = SixDigits::parse(text) {
        assert_eq!(code.as_str(), text);
        assert!(text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit()));
    }
    if let Some(code) = BackupCode::parse(text) {
        let again = BackupCode::parse(&code.shown()).expect("its own spelling");
        assert_eq!(again.bytes(), code.bytes());
    }
}
