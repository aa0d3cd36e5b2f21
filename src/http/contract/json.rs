//! JSON bodies into typed values, and clear words when they do not fit.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::problem::{FieldProblem, Kind, Problem};

/// Deepest nesting that is looked at.
const MAX_DEPTH: usize = 32;

/// Decodes an object. Unknown fields are ignored; duplicate fields, wrong types and anything after the
/// object are not.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let malformed = |detail: &'static str| Problem::detailed(Kind::MalformedJson, detail);
    let text = std::str::from_utf8(body).map_err(|_| malformed("The body is not valid UTF-8"))?;
    match text.trim_ascii_start().as_bytes().first() {
        None => return Err(malformed("A JSON body is required")),
        Some(b'{') => {}
        Some(_) => return Err(malformed("The body must be a JSON object")),
    }
    if depth(body) > MAX_DEPTH {
        return Err(malformed("The body is nested too deeply"));
    }
    serde_json::from_str(text).map_err(|error| explain(&error, text))
}

/// Depth of nested arrays and objects, by their brackets outside of strings.
fn depth(body: &[u8]) -> usize {
    let (mut deepest, mut now, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in body {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => now += 1,
            (false, b'}' | b']') => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

/// Says what is wrong without repeating what was sent: it may have been a password.
fn explain(error: &serde_json::Error, text: &str) -> Problem {
    if error.classify() != Category::Data {
        let detail = format!(
            "The body is not valid JSON (line {}, column {})",
            error.line(),
            error.column()
        );
        return Problem::detailed(Kind::MalformedJson, detail);
    }
    let field = || field_before(text, offset(text, error.line(), error.column()));
    Problem::of_field(FieldProblem::from_serde(&error.to_string(), field))
}

/// Byte offset of a line and column, both counted from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before = text.split_inclusive('\n').take(line.saturating_sub(1));
    before.map(str::len).sum::<usize>() + column
}

/// The last key of the outermost object that stands before `end`.
fn field_before(text: &str, end: usize) -> String {
    let bytes = text.as_bytes().get(..end).unwrap_or(text.as_bytes());
    let (mut level, mut start, mut escaped) = (0_usize, None, false);
    let (mut string, mut field) = ("", "");
    for (index, byte) in bytes.iter().enumerate() {
        match (start, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(from), b'"') => {
                string = text.get(from..index).unwrap_or("");
                start = None;
            }
            (None, b'"') => start = Some(index + 1),
            (None, b'{' | b'[') => level += 1,
            (None, b'}' | b']') => level = level.saturating_sub(1),
            (None, b':') if level == 1 => field = string,
            _ => {}
        }
    }
    field.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(alias = "mail")]
        #[allow(dead_code, reason = "only decoded")]
        email: String,
        #[serde(default)]
        #[allow(dead_code, reason = "only decoded")]
        keep: bool,
    }

    fn refused(body: &[u8]) -> (&'static str, String) {
        let problem = decode::<Body>(body).expect_err("is refused");
        (problem.kind.code(), problem.message().into_owned())
    }

    #[test]
    fn unknown_fields_are_ignored_and_aliases_known() {
        decode::<Body>(br#" {"email":"a","x":{"y":[1,2]}} "#).expect("is fine");
        decode::<Body>(br#"{"mail":"a","keep":true}"#).expect("is fine");
    }

    #[test]
    fn a_wrong_type_names_its_field_and_never_repeats_the_value() {
        let cases: [(&[u8], &str); 5] = [
            (br#"{"email":4711}"#, "email must be a string"),
            (
                b"{\n \"x\": {\"email\": 1},\n \"keep\": \"secret\" }",
                "keep must be a boolean",
            ),
            (br#"{"keep":{"deep":"secret"}}"#, "keep must be a boolean"),
            (br#"{"keep":true}"#, "email is required"),
            (
                br#"{"email":"a","mail":"b"}"#,
                "email is given more than once",
            ),
        ];
        for (body, message) in cases {
            assert_eq!(refused(body), ("invalid_input", message.to_owned()));
        }
    }

    #[test]
    fn what_is_not_one_json_object_is_refused() {
        let deep = format!(
            "{{\"email\":\"a\",\"x\":{}{}}}",
            "[".repeat(40),
            "]".repeat(40)
        );
        let cases: [&[u8]; 12] = [
            b"",
            b"  ",
            b"[\"a\",true]",
            b"\"email\"",
            b"null",
            b"{\"email\":\"a\"} x",
            b"{\"email\":\"a\"}{}",
            b"{\"email\":\"a\"",
            b"{\"email\":\"\xff\"}",
            b"{\"email\":\"\\ud800\"}",
            b"{\"email\":\"a\nb\"}",
            deep.as_bytes(),
        ];
        for body in cases {
            assert_eq!(
                refused(body).0,
                "malformed_json",
                "{}",
                String::from_utf8_lossy(body)
            );
        }
        assert_eq!(depth(br#"{"a":"[[[\"[[["}"#), 1);
    }
}
