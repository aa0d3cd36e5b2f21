//! The fields of a span as JSON. Every request has a span and hardly any writes a line, so this runs with each
//! request: it writes straight into the buffer, where the library's own sorts the fields in a map first.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, FormattedFields};

/// Formatter of fields as `{"name":value,…}`, in the order of the span.
#[derive(Debug)]
pub(super) struct SpanFields;

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        writer.write_char('{')?;
        let mut object = Object::new(&mut writer);
        fields.record(&mut object);
        object.outcome?;
        writer.write_char('}')
    }

    /// Puts fields that are recorded later before the closing brace.
    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut later = FormattedFields::<Self>::new(String::new());
        self.format_fields(later.as_writer(), fields)?;
        let known = current.fields.trim_end_matches('}').len();
        current.fields.truncate(known);
        if known > 1 && later.fields.len() > 2 {
            current.fields.push(',');
        }
        current.fields.push_str(&later.fields[1..]);
        Ok(())
    }
}

/// An object that is being written.
struct Object<'a, W> {
    out: &'a mut W,
    first: bool,
    outcome: fmt::Result,
}

impl<'a, W: fmt::Write> Object<'a, W> {
    fn new(out: &'a mut W) -> Self {
        Self {
            out,
            first: true,
            outcome: Ok(()),
        }
    }

    fn member(&mut self, field: &Field, value: impl FnOnce(&mut W) -> fmt::Result) {
        let comma = if self.first { "" } else { "," };
        self.first = false;
        let name = write!(self.out, "{comma}\"{}\":", field.name());
        let written = name.and_then(|()| value(self.out));
        self.outcome = self.outcome.and(written);
    }
}

impl<W: fmt::Write> Visit for Object<'_, W> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |out| write_text(out, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.member(field, |out| write_text(out, &format!("{value:?}")));
    }
}

fn write_text(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        return write!(out, "\"{text}\"");
    }
    let escaped = serde_json::to_string(text).map_err(|_| fmt::Error)?;
    out.write_str(&escaped)
}
