//! Letters in German.

use super::super::{Event, Method};
use super::{Purpose, Words};

pub(super) struct German;

impl Words for German {
    fn code_sms(&self, purpose: Purpose, code: &str, minutes: u64) -> String {
        let minutes = span(minutes);
        match purpose {
            Purpose::Login => {
                format!(
                    "{code} ist Ihr Anmeldecode. Gültig für {minutes}. Verraten Sie ihn niemandem."
                )
            }
            Purpose::Reauthentication => {
                format!(
                    "{code} bestätigt, dass Sie es sind. Gültig für {minutes}. Verraten Sie den Code niemandem."
                )
            }
            Purpose::Enrolment => {
                format!(
                    "{code} bestätigt Ihre Nummer. Gültig für {minutes}. Verraten Sie den Code niemandem."
                )
            }
        }
    }

    fn code_subject(&self, purpose: Purpose, host: &str) -> String {
        match purpose {
            Purpose::Login => format!("Ihr Anmeldecode für {host}"),
            Purpose::Reauthentication => format!("Ihr Code für {host}"),
            Purpose::Enrolment => format!("Bestätigen Sie Ihre Adresse für {host}"),
        }
    }

    fn code_mail(&self, purpose: Purpose, code: &str, minutes: u64, host: &str) -> String {
        let minutes = span(minutes);
        let (what, otherwise) = match purpose {
            Purpose::Login => (
                format!("Ihr Anmeldecode für {host} lautet:"),
                "Wenn Sie sich gerade nicht anmelden, kennt jemand Ihr Passwort: Ändern Sie es.",
            ),
            Purpose::Reauthentication => (
                format!("Dieser Code bestätigt, dass Sie selbst bei {host} etwas ändern:"),
                "Wenn Sie gerade nichts ändern, ist jemand in Ihrem Konto: Beenden Sie alle Sitzungen.",
            ),
            Purpose::Enrolment => (
                format!("Dieser Code macht Ihre Adresse zum zweiten Faktor für {host}:"),
                "Wenn Sie ihn nicht angefordert haben, hat sich vielleicht jemand vertippt: Dann \
                 brauchen Sie\nnichts zu tun.",
            ),
        };
        format!(
            "{what}\n\n    {code}\n\n\
             Er gilt {minutes} lang und nur einmal. Verraten Sie ihn niemandem, auch nicht uns.\n\n\
             {otherwise}\n"
        )
    }

    fn happened(&self, event: &Event) -> String {
        match event {
            Event::SecondFactorAdded { method } => {
                format!("{} ist jetzt zweiter Faktor.", name(*method))
            }
            Event::SecondFactorRemoved { method } => {
                format!("{} wurde als zweiter Faktor entfernt.", name(*method))
            }
            Event::SecondFactorDisabled { method } => {
                format!(
                    "{} wurde nach zu vielen falschen Codes gesperrt.",
                    name(*method)
                )
            }
            Event::SecondFactorsOff => "Der zweite Faktor wurde abgeschaltet.".to_owned(),
            Event::BackupCodesRegenerated => {
                "Neue Backup-Codes haben die alten ersetzt.".to_owned()
            }
            Event::BackupCodeUsed { left } => {
                format!("Ein Backup-Code wurde benutzt; es bleiben {left}.")
            }
            Event::DeviceTrusted { .. } => {
                "Ein Gerät braucht den zweiten Faktor nicht mehr.".to_owned()
            }
            Event::PasswordChanged => "Das Passwort wurde geändert.".to_owned(),
            Event::ApiKeyCreated { .. } => "Ein API-Schlüssel wurde angelegt.".to_owned(),
            Event::ApiKeyReported { .. } => {
                "Ein API-Schlüssel wurde als öffentlich gemeldet und beendet.".to_owned()
            }
            Event::RefreshTokenReused => {
                "Ein Anmeldetoken wurde zweimal benutzt; seine Sitzung wurde beendet.".to_owned()
            }
            Event::DeviceTokenReused => {
                "Das Token eines vertrauten Geräts wurde zweimal benutzt und gilt nicht mehr."
                    .to_owned()
            }
        }
    }

    fn notice_subject(&self, host: &str) -> String {
        format!("Sicherheit Ihres Kontos bei {host}")
    }

    fn notice_sms(&self, happened: &str, host: &str) -> String {
        format!("{host}: {happened} Waren Sie das nicht? Ändern Sie sofort Ihr Passwort.")
    }

    fn notice_mail(&self, happened: &str, event: &Event, about: &[String], host: &str) -> String {
        let advice = match event {
            Event::SecondFactorDisabled { .. } => {
                "Wenn Sie das nicht waren, kennt jemand Ihr Passwort und rät Codes: Ändern Sie Ihr \
                 Passwort.\nUm den zweiten Faktor wieder einzuschalten, melden Sie sich mit einem anderen an."
            }
            Event::PasswordChanged => {
                "Wenn Sie das waren, ist alles gut. Wenn nicht, ist jemand anderes in Ihrem Konto: \
                 Fordern Sie\nsofort ein neues Passwort an, beenden Sie dann alle Sitzungen und prüfen Sie \
                 Ihre zweiten Faktoren."
            }
            Event::ApiKeyReported { .. } => {
                "Jemand hat ihn gefunden, wo er nicht sein sollte. Legen Sie für das, was ihn benutzt, einen neuen\n\
                 an, und prüfen Sie, wofür er benutzt wurde."
            }
            Event::RefreshTokenReused | Event::DeviceTokenReused => {
                "Vielleicht hat es jemand von einem Ihrer Geräte kopiert. Ändern Sie Ihr Passwort, beenden Sie \
                 alle\nSitzungen und prüfen Sie Ihre zweiten Faktoren und vertrauten Geräte."
            }
            _ => {
                "Wenn Sie das waren, ist alles gut. Wenn nicht, ändern Sie sofort Ihr Passwort, beenden Sie \
                 alle\nSitzungen und prüfen Sie Ihre zweiten Faktoren und vertrauten Geräte."
            }
        };
        let about = about.join("\n");
        format!(
            "Mit Ihrem Konto bei {host} ist dies geschehen:\n\n{happened}\n\n{about}\n\n{advice}\n"
        )
    }

    fn labels(&self) -> [&'static str; 5] {
        ["Wann", "Von", "Womit", "Vertraut", "API-Schlüssel"]
    }
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Totp => "Eine Authenticator-App",
        Method::Sms => "Eine Telefonnummer",
        Method::Email => "Eine E-Mail-Adresse",
        Method::BackupCodes => "Der Satz Backup-Codes",
    }
}

fn span(minutes: u64) -> String {
    match minutes {
        1 => "1 Minute".to_owned(),
        minutes => format!("{minutes} Minuten"),
    }
}
