//! Logs: one line for each event, JSON or text, on standard output, in UTC.

mod span_fields;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, fmt};

use self::span_fields::SpanFields;
use crate::config::{self, LogFormat};

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start_logs(settings: &config::Telemetry) -> Result<(), String> {
    let subscriber = subscriber(settings, io::stdout)?;
    // Tests start many services in one process; the first one's logs serve all.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

fn subscriber<W>(
    settings: &config::Telemetry,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(&settings.log_filter).map_err(|error| format!("RUST_LOG: {error}"))?;
    let common = fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(EscapingMaker(writer));
    Ok(match settings.log_format {
        LogFormat::Json => {
            let json = common.json().flatten_event(true);
            Box::new(json.fmt_fields(SpanFields).finish())
        }
        LogFormat::Text => Box::new(common.finish()),
    })
}

/// Maker of writers that keep each event on one line, whatever its fields contain.
struct EscapingMaker<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for EscapingMaker<W> {
    type Writer = EscapingWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapingWriter(self.0.make_writer())
    }
}

/// Writer of events; the formatter hands over one at a time, with its line break.
struct EscapingWriter<W>(W);

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut whole = escaped(line).into_owned();
        if text.ends_with('\n') {
            whole.push('\n');
        }
        self.0.write_all(whole.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn escaped(line: &str) -> Cow<'_, str> {
    if !line.contains(is_disruptive) {
        return Cow::Borrowed(line);
    }
    let mut safe = String::with_capacity(line.len() + 16);
    for character in line.chars() {
        if is_disruptive(character) {
            // As JSON writes it, so that a line of JSON stays one; all of them have four digits.
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// Whether a character ends a line, moves the cursor, or turns the direction of text, for some reader.
fn is_disruptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log_format: LogFormat, filter: &str, say: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let settings = config::Telemetry {
            log_format,
            log_filter: filter.to_owned(),
        };
        let kept = buffer.clone();
        let subscriber = subscriber(&settings, move || kept.clone()).expect("a good filter");
        tracing::subscriber::with_default(subscriber, say);
        let bytes = buffer.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    const HOSTILE: &str = "a\nINFO forged\r\u{1b}[2K\u{85}\u{2028}\u{202e}\0b \"quoted\" ü";

    #[test]
    fn input_never_breaks_a_line() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let log = logged(format, "info", || {
                tracing::info!(user = %HOSTILE, debug = ?HOSTILE, "said {HOSTILE}");
            });
            assert_eq!(log.lines().count(), 1, "{log:?}");
            assert!(log.ends_with('\n'));
            let disruptive = log.trim_end_matches('\n').contains(is_disruptive);
            assert!(!disruptive, "{log:?}");
            assert!(log.contains('ü'));
        }
    }

    #[test]
    fn json_is_json_in_utc() {
        let log = logged(LogFormat::Json, "info", || {
            let _span = tracing::info_span!("request", id = "r-1").entered();
            tracing::warn!(user = HOSTILE, count = 3, "hello");
        });
        let event: serde_json::Value = serde_json::from_str(&log).expect("JSON");
        assert_eq!(event["level"], "WARN");
        assert_eq!(event["message"], "hello");
        assert_eq!(event["user"], HOSTILE);
        assert_eq!(event["count"], 3);
        assert_eq!(event["span"]["id"], "r-1");
        let time: crate::model::Timestamp =
            serde_json::from_value(event["timestamp"].clone()).expect("RFC 3339");
        assert!(
            time.seconds() > 0
                && event["timestamp"]
                    .as_str()
                    .is_some_and(|t| t.ends_with('Z'))
        );
    }

    #[test]
    fn the_filter_is_obeyed() {
        let log = logged(LogFormat::Text, "warn", || {
            tracing::info!("quiet");
            tracing::error!("loud");
        });
        assert!(log.contains("loud") && !log.contains("quiet"), "{log}");
        let bad = config::Telemetry {
            log_filter: "a=b=c".to_owned(),
            ..config::Telemetry::default()
        };
        assert!(start_logs(&bad).is_err());
    }

    #[test]
    fn a_span_says_its_fields_in_json_whatever_is_in_them() {
        let log = logged(LogFormat::Json, "info", || {
            let span = tracing::info_span!(
                "request",
                request_id = HOSTILE,
                route = "/auth/me",
                tries = 3_u64,
                method = %"GET",
                later = tracing::field::Empty
            );
            span.record("later", true);
            span.in_scope(|| tracing::warn!("something"));
        });
        let event: serde_json::Value = serde_json::from_str(&log).expect("JSON");
        let expected = serde_json::json!({
            "name": "request", "request_id": HOSTILE, "route": "/auth/me", "tries": 3,
            "method": "GET", "later": true,
        });
        assert_eq!(event["span"], expected);
    }
}
