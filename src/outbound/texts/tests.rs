//! Texts of all letters.

use super::super::Method;
use super::*;
use crate::model::Id;

const HOST: &str = "id.example.com";
const LANGUAGES: [Language; 2] = [Language::English, Language::German];

fn letter(channel: Channel, language: Language, message: Message) -> Letter {
    Letter {
        id: Id::new(Timestamp::from_micros(1_795_174_200_000_000), [7; 10]),
        channel,
        language,
        message,
    }
}

fn login(minutes: u64) -> Message {
    let code = "123456".to_owned();
    Message::LoginCode {
        code,
        minutes,
        logged_in: false,
    }
}

fn reauthentication() -> Message {
    Message::LoginCode {
        code: "123456".to_owned(),
        minutes: 5,
        logged_in: true,
    }
}

fn enrolment() -> Message {
    let code = "123456".to_owned();
    Message::EnrolmentCode { code, minutes: 5 }
}

fn notice(event: Event) -> Message {
    Message::Notice(Notice {
        event,
        at: Timestamp::from_micros(1_795_174_200_000_000),
        ip_address: Some("192.0.2.7".to_owned()),
        device: Some("Firefox on Linux".to_owned()),
    })
}

fn events() -> Vec<Event> {
    let mut events = vec![
        Event::SecondFactorsOff,
        Event::BackupCodesRegenerated,
        Event::BackupCodeUsed { left: 3 },
        Event::DeviceTrusted {
            name: "Kitchen tablet".to_owned(),
        },
        Event::PasswordChanged,
        Event::ApiKeyCreated {
            name: "Build server".to_owned(),
        },
        Event::ApiKeyReported {
            name: "Build server".to_owned(),
        },
        Event::RefreshTokenReused,
        Event::DeviceTokenReused,
    ];
    for method in [
        Method::Totp,
        Method::Sms,
        Method::Email,
        Method::BackupCodes,
    ] {
        events.push(Event::SecondFactorAdded { method });
        events.push(Event::SecondFactorRemoved { method });
        events.push(Event::SecondFactorDisabled { method });
    }
    events
}

/// Subject and text, one below the other.
fn mail(language: Language, message: Message) -> String {
    let text = write(&letter(Channel::Email, language, message), HOST);
    format!("{}\n---\n{}", text.subject.expect("a subject"), *text.body)
}

fn sms(language: Language, message: Message) -> String {
    let text = write(&letter(Channel::Sms, language, message), HOST);
    assert_eq!(text.subject, None);
    text.body.to_string()
}

/// Number of septets in the default alphabet of GSM 03.38, of which this is all but its Greek and its extensions.
fn septets(text: &str) -> Option<usize> {
    let known = |c: char| {
        c.is_ascii_alphanumeric()
            || "@£$¥èéùìòÇ\nØø\rÅå_ÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà".contains(c)
    };
    text.chars().all(known).then(|| text.chars().count())
}

#[test]
fn every_sms_fits_into_one_of_160_septets() {
    for language in LANGUAGES {
        let notices = events().into_iter().map(notice);
        for message in notices.chain([login(5), login(60), reauthentication(), enrolment()]) {
            let text = sms(language, message);
            assert!(
                septets(&text).is_some_and(|septets| septets <= 160),
                "{text}"
            );
        }
    }
}

#[test]
fn the_last_line_of_a_code_binds_it_to_our_origin() {
    for language in LANGUAGES {
        for message in [login(5), reauthentication(), enrolment()] {
            let text = sms(language, message);
            assert_eq!(text.lines().next_back(), Some("@id.example.com #123456"));
            assert!(!text.ends_with('\n'));
        }
    }
}

#[test]
fn no_subject_holds_a_code() {
    for language in LANGUAGES {
        for message in [login(5), reauthentication(), enrolment()] {
            let text = write(&letter(Channel::Email, language, message), HOST);
            assert!(!text.subject.expect("a subject").contains("123456"));
            assert!(text.body.contains("    123456\n"));
        }
    }
}

#[test]
fn codes_by_sms() {
    let all = LANGUAGES.map(|language| {
        [login(5), login(1), reauthentication(), enrolment()]
            .map(|message| sms(language, message))
            .join("\n===\n")
    });
    insta::assert_snapshot!(all.join("\n=====\n"), @r#"
        123456 is your login code. Valid for 5 minutes. Never tell it to anyone.

        @id.example.com #123456
        ===
        123456 is your login code. Valid for 1 minute. Never tell it to anyone.

        @id.example.com #123456
        ===
        123456 confirms that it is you. Valid for 5 minutes. Never tell it to anyone.

        @id.example.com #123456
        ===
        123456 confirms your number. Valid for 5 minutes. Never tell it to anyone.

        @id.example.com #123456
        =====
        123456 ist Ihr Anmeldecode. Gültig für 5 Minuten. Verraten Sie ihn niemandem.

        @id.example.com #123456
        ===
        123456 ist Ihr Anmeldecode. Gültig für 1 Minute. Verraten Sie ihn niemandem.

        @id.example.com #123456
        ===
        123456 bestätigt, dass Sie es sind. Gültig für 5 Minuten. Verraten Sie den Code niemandem.

        @id.example.com #123456
        ===
        123456 bestätigt Ihre Nummer. Gültig für 5 Minuten. Verraten Sie den Code niemandem.

        @id.example.com #123456
        "#);
}

#[test]
fn notices_by_sms() {
    let all = LANGUAGES.map(|language| {
        let all: Vec<_> = events()
            .into_iter()
            .map(|event| sms(language, notice(event)))
            .collect();
        all.join("\n")
    });
    insta::assert_snapshot!(all.join("\n\n"), @r#"
        id.example.com: The second factor was turned off. Not you? Change your password now.
        id.example.com: New backup codes replaced the old ones. Not you? Change your password now.
        id.example.com: A backup code was used; 3 left. Not you? Change your password now.
        id.example.com: A device no longer needs the second factor. Not you? Change your password now.
        id.example.com: The password was changed. Not you? Change your password now.
        id.example.com: An API key was made. Not you? Change your password now.
        id.example.com: An API key was reported as leaked and has ended. Not you? Change your password now.
        id.example.com: A login token was used twice; its session was ended. Not you? Change your password now.
        id.example.com: A trusted device's token was used twice; the device is no longer trusted. Not you? Change your password now.
        id.example.com: An authenticator app now works as a second factor. Not you? Change your password now.
        id.example.com: An authenticator app was removed as a second factor. Not you? Change your password now.
        id.example.com: An authenticator app was disabled after too many wrong codes. Not you? Change your password now.
        id.example.com: A phone number now works as a second factor. Not you? Change your password now.
        id.example.com: A phone number was removed as a second factor. Not you? Change your password now.
        id.example.com: A phone number was disabled after too many wrong codes. Not you? Change your password now.
        id.example.com: A mail address now works as a second factor. Not you? Change your password now.
        id.example.com: A mail address was removed as a second factor. Not you? Change your password now.
        id.example.com: A mail address was disabled after too many wrong codes. Not you? Change your password now.
        id.example.com: The set of backup codes now works as a second factor. Not you? Change your password now.
        id.example.com: The set of backup codes was removed as a second factor. Not you? Change your password now.
        id.example.com: The set of backup codes was disabled after too many wrong codes. Not you? Change your password now.

        id.example.com: Der zweite Faktor wurde abgeschaltet. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Neue Backup-Codes haben die alten ersetzt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Ein Backup-Code wurde benutzt; es bleiben 3. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Ein Gerät braucht den zweiten Faktor nicht mehr. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Das Passwort wurde geändert. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Ein API-Schlüssel wurde angelegt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Ein API-Schlüssel wurde als öffentlich gemeldet und beendet. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Ein Anmeldetoken wurde zweimal benutzt; seine Sitzung wurde beendet. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Das Token eines vertrauten Geräts wurde zweimal benutzt und gilt nicht mehr. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Eine Authenticator-App ist jetzt zweiter Faktor. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Eine Authenticator-App wurde als zweiter Faktor entfernt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Eine Authenticator-App wurde nach zu vielen falschen Codes gesperrt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Eine Telefonnummer ist jetzt zweiter Faktor. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Eine Telefonnummer wurde als zweiter Faktor entfernt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Eine Telefonnummer wurde nach zu vielen falschen Codes gesperrt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Eine E-Mail-Adresse ist jetzt zweiter Faktor. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Eine E-Mail-Adresse wurde als zweiter Faktor entfernt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Eine E-Mail-Adresse wurde nach zu vielen falschen Codes gesperrt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Der Satz Backup-Codes ist jetzt zweiter Faktor. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Der Satz Backup-Codes wurde als zweiter Faktor entfernt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        id.example.com: Der Satz Backup-Codes wurde nach zu vielen falschen Codes gesperrt. Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.
        "#);
}

#[test]
fn codes_by_mail_in_english() {
    let all = [login(5), enrolment()].map(|message| mail(Language::English, message));
    insta::assert_snapshot!(all.join("\n===\n"), @r#"
        Your login code for id.example.com
        ---
        Your login code for id.example.com is:

            123456

        It is valid for 5 minutes and works once. Never tell it to anyone, not even to us.

        If you are not logging in right now, somebody knows your password: change it.

        ===
        Confirm your address for id.example.com
        ---
        This code makes your address a second factor for id.example.com:

            123456

        It is valid for 5 minutes and works once. Never tell it to anyone, not even to us.

        If you did not ask for it, somebody may have mistyped an address: ignore this mail.
        "#);
}

#[test]
fn codes_by_mail_in_german() {
    let all = [login(5), enrolment()].map(|message| mail(Language::German, message));
    insta::assert_snapshot!(all.join("\n===\n"), @r#"
        Ihr Anmeldecode für id.example.com
        ---
        Ihr Anmeldecode für id.example.com lautet:

            123456

        Er gilt 5 Minuten lang und nur einmal. Verraten Sie ihn niemandem, auch nicht uns.

        Wenn Sie sich gerade nicht anmelden, kennt jemand Ihr Passwort: Ändern Sie es.

        ===
        Bestätigen Sie Ihre Adresse für id.example.com
        ---
        Dieser Code macht Ihre Adresse zum zweiten Faktor für id.example.com:

            123456

        Er gilt 5 Minuten lang und nur einmal. Verraten Sie ihn niemandem, auch nicht uns.

        Wenn Sie ihn nicht angefordert haben, hat sich vielleicht jemand vertippt: Dann brauchen Sie
        nichts zu tun.
        "#);
}

fn telling_notices() -> [Message; 4] {
    [
        notice(Event::SecondFactorAdded {
            method: Method::Totp,
        }),
        notice(Event::SecondFactorDisabled {
            method: Method::Sms,
        }),
        notice(Event::DeviceTrusted {
            name: "Kitchen tablet".to_owned(),
        }),
        notice(Event::PasswordChanged),
    ]
}

#[test]
fn notices_by_mail_in_english() {
    let all = telling_notices().map(|message| mail(Language::English, message));
    insta::assert_snapshot!(all.join("\n===\n"), @r#"
        Security of your account at id.example.com
        ---
        This happened to your account at id.example.com:

        An authenticator app now works as a second factor.

        When: 2026-11-20 11:30 UTC
        From: 192.0.2.7
        With: "Firefox on Linux"

        If this was you, all is well. If not, change your password at once, end all sessions,
        and look at your second factors and trusted devices.

        ===
        Security of your account at id.example.com
        ---
        This happened to your account at id.example.com:

        A phone number was disabled after too many wrong codes.

        When: 2026-11-20 11:30 UTC
        From: 192.0.2.7
        With: "Firefox on Linux"

        If this was not you, somebody knows your password and guesses codes: change your password.
        To enable the second factor again, log in with another one.

        ===
        Security of your account at id.example.com
        ---
        This happened to your account at id.example.com:

        A device no longer needs the second factor.

        When: 2026-11-20 11:30 UTC
        From: 192.0.2.7
        With: "Firefox on Linux"
        Trusted: "Kitchen tablet"

        If this was you, all is well. If not, change your password at once, end all sessions,
        and look at your second factors and trusted devices.

        ===
        Security of your account at id.example.com
        ---
        This happened to your account at id.example.com:

        The password was changed.

        When: 2026-11-20 11:30 UTC
        From: 192.0.2.7
        With: "Firefox on Linux"

        If this was you, all is well. If not, somebody else is in your account: ask for a new password
        at once, then end all sessions and look at your second factors.
        "#);
}

#[test]
fn notices_by_mail_in_german() {
    let all = telling_notices().map(|message| mail(Language::German, message));
    insta::assert_snapshot!(all.join("\n===\n"), @r#"
        Sicherheit Ihres Kontos bei id.example.com
        ---
        Mit Ihrem Konto bei id.example.com ist dies geschehen:

        Eine Authenticator-App ist jetzt zweiter Faktor.

        Wann: 2026-11-20 11:30 UTC
        Von: 192.0.2.7
        Womit: "Firefox on Linux"

        Wenn Sie das waren, ist alles gut. Wenn nicht, ändern Sie sofort Ihr Passwort, beenden Sie alle
        Sitzungen und prüfen Sie Ihre zweiten Faktoren und vertrauten Geräte.

        ===
        Sicherheit Ihres Kontos bei id.example.com
        ---
        Mit Ihrem Konto bei id.example.com ist dies geschehen:

        Eine Telefonnummer wurde nach zu vielen falschen Codes gesperrt.

        Wann: 2026-11-20 11:30 UTC
        Von: 192.0.2.7
        Womit: "Firefox on Linux"

        Wenn Sie das nicht waren, kennt jemand Ihr Passwort und rät Codes: Ändern Sie Ihr Passwort.
        Um den zweiten Faktor wieder einzuschalten, melden Sie sich mit einem anderen an.

        ===
        Sicherheit Ihres Kontos bei id.example.com
        ---
        Mit Ihrem Konto bei id.example.com ist dies geschehen:

        Ein Gerät braucht den zweiten Faktor nicht mehr.

        Wann: 2026-11-20 11:30 UTC
        Von: 192.0.2.7
        Womit: "Firefox on Linux"
        Vertraut: "Kitchen tablet"

        Wenn Sie das waren, ist alles gut. Wenn nicht, ändern Sie sofort Ihr Passwort, beenden Sie alle
        Sitzungen und prüfen Sie Ihre zweiten Faktoren und vertrauten Geräte.

        ===
        Sicherheit Ihres Kontos bei id.example.com
        ---
        Mit Ihrem Konto bei id.example.com ist dies geschehen:

        Das Passwort wurde geändert.

        Wann: 2026-11-20 11:30 UTC
        Von: 192.0.2.7
        Womit: "Firefox on Linux"

        Wenn Sie das waren, ist alles gut. Wenn nicht, ist jemand anderes in Ihrem Konto: Fordern Sie
        sofort ein neues Passwort an, beenden Sie dann alle Sitzungen und prüfen Sie Ihre zweiten Faktoren.
        "#);
}

#[test]
fn strangers_write_neither_lines_nor_links() {
    for (told, shown) in [
        (
            "Mozilla/5.0 (X11; Linux x86_64)",
            "Mozilla 5 0 X11 Linux x86_64",
        ),
        ("Käthes Tablet", "Käthes Tablet"),
        ("a\r\nBcc: b@example.com", "a Bcc b example com"),
        (
            "locked! go to https://evil.example/x",
            "locked go to https evil example x",
        ),
        ("www.evil.example", "www evil example"),
        ("http:192.0.2.7/x", "http 192 0 2 7 x"),
        ("<b>\u{202e}x\0</b>", "b x b"),
        (" \n ", ""),
    ] {
        assert_eq!(plain_words(told), shown);
    }
    assert_eq!(plain_words(&"x".repeat(9000)).len(), MAX_CLIENT_TEXT);
}

#[test]
fn what_a_request_did_not_tell_is_left_out() {
    let message = Message::Notice(Notice {
        event: Event::SecondFactorsOff,
        at: Timestamp::from_micros(0),
        ip_address: None,
        device: Some("\n".to_owned()),
    });
    let mail = mail(Language::English, message);
    assert!(mail.contains("When: 1970-01-01 00:00 UTC\n\n"), "{mail}");
}
