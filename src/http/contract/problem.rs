//! Problems (RFC 9457), for people and programs, out of one table.
//!
//! A [`Kind`] is a row of the table; a [`Problem`] is a kind met in one request. The source of a
//! failure is logged once at the edge and never sent.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;

pub(crate) use crate::core::ProblemKind as Kind;
use crate::core::{Error, FieldError};

/// Status of a response.
pub(crate) fn status(kind: Kind) -> StatusCode {
    StatusCode::from_u16(kind.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// One field of the request that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct FieldProblem {
    /// Name of the field as the client sent it.
    pub(crate) field: Cow<'static, str>,
    /// Stable, `snake_case`.
    pub(crate) code: &'static str,
    /// For a person.
    pub(crate) message: String,
}

impl FieldProblem {
    /// A field that serde refuses, in our words and without the value that was sent: it may have been a password.
    /// `field` finds its name where serde does not tell it.
    pub(crate) fn from_serde(said: &str, field: impl FnOnce() -> String) -> Self {
        let quoted = |prefix: &str| {
            let rest = said.strip_prefix(prefix)?;
            rest.split_once('`').map(|(name, _)| name.to_owned())
        };
        let (field, code, message) = if let Some(name) = quoted("missing field `") {
            (name, "required", "is required".to_owned())
        } else if let Some(name) = quoted("duplicate field `") {
            (name, "duplicate", "is given more than once".to_owned())
        } else {
            let too_long = said.starts_with("invalid length");
            let code = if too_long { "too_long" } else { "invalid_type" };
            (field(), code, expectation(said))
        };
        let field = Cow::Owned(field);
        Self {
            field,
            code,
            message,
        }
    }
}

/// "must be a string" out of serde's "invalid type: integer `5`, expected a string at line 1 column 9".
fn expectation(said: &str) -> String {
    let expected = said.rsplit_once("expected ").map(|(_, expected)| expected);
    let expected =
        expected.map(|text| text.rsplit_once(" at line ").map_or(text, |(text, _)| text));
    expected.map_or_else(
        || "has a wrong value".to_owned(),
        |expected| format!("must be {expected}"),
    )
}

/// A problem met in one request.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Row of the table.
    pub(crate) kind: Kind,
    /// More for a person than the title tells; never anything secret.
    pub(crate) detail: Option<Cow<'static, str>>,
    /// Fields that break a rule.
    pub(crate) errors: Vec<FieldProblem>,
    /// Labels of the proofs of identity that a re-authentication takes.
    pub(crate) accepted_methods: Vec<&'static str>,
    /// When to try again.
    pub(crate) retry_after: Option<Duration>,
    /// For the log alone.
    pub(crate) source: Option<String>,
}

impl Problem {
    /// A problem with nothing more to say than its title.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: None,
            errors: Vec::new(),
            accepted_methods: Vec::new(),
            retry_after: (status(kind) == StatusCode::SERVICE_UNAVAILABLE)
                .then_some(Duration::from_secs(1)),
            source: None,
        }
    }

    /// A problem with a message of its own.
    pub(crate) fn detailed(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::new(kind)
        }
    }

    /// A problem whose cause belongs into the log.
    pub(crate) fn caused(kind: Kind, source: String) -> Self {
        Self {
            source: Some(source),
            ..Self::new(kind)
        }
    }

    /// One field that breaks a rule.
    pub(crate) fn of_field(error: FieldProblem) -> Self {
        Self {
            errors: vec![error],
            ..Self::new(Kind::InvalidInput)
        }
    }

    fn retry(kind: Kind, after: Duration) -> Self {
        Self {
            retry_after: Some(after),
            ..Self::new(kind)
        }
    }

    fn invalid(fields: Vec<FieldError>) -> Self {
        let errors = fields.into_iter().map(|error| FieldProblem {
            field: error.field.into(),
            code: error.code,
            message: error.message,
        });
        Self {
            errors: errors.collect(),
            ..Self::new(Kind::InvalidInput)
        }
    }

    /// The message for a person.
    pub(crate) fn message(&self) -> Cow<'_, str> {
        match (&self.detail, self.errors.as_slice()) {
            (Some(detail), _) => Cow::Borrowed(detail),
            (None, [error]) => Cow::Owned(format!("{} {}", error.field, error.message)),
            (None, _) => Cow::Borrowed(self.kind.row().title),
        }
    }

    /// The body: RFC 9457 members and the envelope's extensions. `instance` is the request id.
    pub(crate) fn body(&self, instance: &str) -> Bytes {
        let message = self.message();
        let document = Document {
            r#type: ProblemType(self.kind),
            title: self.kind.row().title,
            status: self.kind.row().status,
            detail: &message,
            instance,
            success: false,
            message: &message,
            code: self.kind.code(),
            errors: &self.errors,
            accepted_methods: &self.accepted_methods,
        };
        serde_json::to_vec(&document).map_or_else(|_| Bytes::new(), Bytes::from)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(fields) => Self::invalid(fields),
            Error::Refused(kind) => Self::new(kind),
            Error::ReauthenticationRequired { accepted } => Self {
                accepted_methods: accepted,
                ..Self::new(Kind::ReauthenticationRequired)
            },
            Error::RateLimited { retry_after } => Self::retry(Kind::RateLimited, retry_after),
            Error::Overloaded { retry_after } => Self::retry(Kind::Overloaded, retry_after),
            Error::StoreAway(source) => Self::caused(Kind::Unavailable, source),
            Error::OutcomeUnknown => Self::detailed(
                Kind::OutcomeUnknown,
                "Nobody knows whether this happened. Look before you try again.",
            ),
            Error::Internal(source) => Self::caused(Kind::Internal, source),
        }
    }
}

/// `type` of a problem: a URN, since no page stands behind it.
struct ProblemType(Kind);

impl Serialize for ProblemType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:sallyport:problem:{}", self.0.code()))
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: ProblemType,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    success: bool,
    message: &'a str,
    code: &'static str,
    errors: &'a [FieldProblem],
    #[serde(rename = "acceptedMethods", skip_serializing_if = "<[_]>::is_empty")]
    accepted_methods: &'a [&'static str],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ProblemRow, problems};

    #[test]
    fn the_table_of_problems_is_part_of_the_contract() {
        let row = |row: ProblemRow| {
            assert!(row.advice.ends_with('.'), "{}", row.code);
            format!("{} {} {}", row.status, row.code, row.title)
        };
        let table: Vec<String> = problems().map(row).collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
    400 malformed_request Malformed request
    400 malformed_json Malformed JSON
    400 invalid_input Invalid input
    400 invalid_code Invalid code
    400 number_not_served No SMS are sent to this number
    401 invalid_credentials Invalid credentials
    401 unauthenticated Not authenticated
    401 challenge_expired The challenge is over, log in again
    403 forbidden Not allowed
    403 address_not_allowed The API key may not be used from this address
    403 reauthentication_required Recent authentication required
    403 two_factor_required A second factor must be set up first
    403 email_not_verified Verify the e-mail address first
    403 csrf_failed Cross-site request refused
    404 not_found Not found
    405 method_not_allowed Method not allowed
    408 request_timeout The request did not arrive in time
    409 email_taken Email already registered
    409 username_taken Username already taken
    409 role_name_taken A role has or had this name
    409 last_administrator The last administrator must stay one
    409 enrolment_expired Nothing is being set up, begin again
    409 method_not_available This method is not available
    409 two_factor_not_enabled Two-factor authentication is not enabled
    409 api_key_limit Too many API keys
    409 api_key_revoked The API key is revoked
    409 api_key_changed The API key was rotated by somebody else meanwhile
    413 body_too_large Request body too large
    415 unsupported_media_type Unsupported media type
    429 rate_limited Too many requests
    431 headers_too_large Request headers too large
    500 internal_error Internal error
    503 overloaded Overloaded, try again
    503 unavailable Temporarily unavailable
    503 outcome_unknown Outcome unknown
    503 timed_out No answer in time
    "#);
    }

    #[test]
    fn a_problem_says_what_when_and_where_and_keeps_its_source() {
        let problem = Problem::from(Error::StoreAway("redis at 10.0.0.7 is away".into()));
        let body = String::from_utf8(problem.body("req-1").to_vec()).expect("is text");
        assert_eq!(problem.retry_after, Some(Duration::from_secs(1)));
        insta::assert_snapshot!(body, @r#"{"type":"urn:sallyport:problem:unavailable","title":"Temporarily unavailable","status":503,"detail":"Temporarily unavailable","instance":"req-1","success":false,"message":"Temporarily unavailable","code":"unavailable","errors":[]}"#);
    }

    #[test]
    fn one_broken_field_is_named_in_the_message() {
        let fields = vec![FieldError {
            field: "password",
            code: "too_short",
            message: "must have at least 8 characters".to_owned(),
        }];
        let problem = Problem::from(Error::Invalid(fields));
        assert_eq!(
            problem.message(),
            "password must have at least 8 characters"
        );
        let body: serde_json::Value =
            serde_json::from_slice(&problem.body("req-1")).expect("is JSON");
        assert_eq!(body["errors"][0]["code"], "too_short");
        assert_eq!(body["status"], 400);
    }
}
