//! Entries as comma-separated values (RFC 4180). Text that a spreadsheet would take for a formula is quoted by an
//! apostrophe.

use crate::model::AuditEntry;

const NAMES: &str = "id,createdAt,action,success,userId,sessionId,actorKind,actorId,actorSessionId,actorKeyId,\
                     ipAddress,userAgent,requestId,details\r\n";

/// Writes the line of names.
pub(super) fn write_names(lines: &mut Vec<u8>) {
    lines.extend_from_slice(NAMES.as_bytes());
}

/// Writes the line of an entry.
pub(super) fn write(entry: &AuditEntry, lines: &mut Vec<u8>) {
    fn text<T: ToString>(value: Option<&T>) -> String {
        value.map(ToString::to_string).unwrap_or_default()
    }
    let values = [
        entry.id.to_string(),
        entry.created_at.to_string(),
        entry.action.clone(),
        entry.success.to_string(),
        text(entry.user_id.as_ref()),
        text(entry.session_id.as_ref()),
        text(entry.actor_kind.as_ref()),
        text(entry.actor_id.as_ref()),
        text(entry.actor_session_id.as_ref()),
        text(entry.actor_key_id.as_ref()),
        text(entry.ip_address.as_ref()),
        text(entry.user_agent.as_ref()),
        text(entry.request_id.as_ref()),
        entry.details.to_string(),
    ];
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            lines.push(b',');
        }
        write_value(value, lines);
    }
    lines.extend_from_slice(b"\r\n");
}

fn write_value(value: &str, lines: &mut Vec<u8>) {
    let is_formula = value.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]);
    let is_plain = !is_formula && !value.contains([',', '"', '\r', '\n']);
    if is_plain {
        return lines.extend_from_slice(value.as_bytes());
    }
    lines.push(b'"');
    if is_formula {
        lines.push(b'\'');
    }
    for byte in value.bytes() {
        if byte == b'"' {
            lines.push(b'"');
        }
        lines.push(byte);
    }
    lines.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str) -> String {
        let mut line = Vec::new();
        write_value(value, &mut line);
        String::from_utf8(line).expect("text")
    }

    #[test]
    fn no_value_is_a_formula_or_breaks_out_of_its_place() {
        assert_eq!(written("curl/8"), "curl/8");
        assert_eq!(written(""), "");
        assert_eq!(written("a,b"), "\"a,b\"");
        assert_eq!(written("a\"b\r\n"), "\"a\"\"b\r\n\"");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\u{ff1d}1"] {
            assert_eq!(written(formula), format!("\"'{formula}\""));
        }
    }
}
