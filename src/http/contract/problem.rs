//! Problems (RFC 9457), for people and programs, out of one table.
//!
//! A [`Kind`] is a row of the table; a [`Problem`] is a kind met in one request. The source of a
//! failure is logged once at the edge and never sent.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;

use crate::auth;

/// Defines every kind of problem as one row: name, status, code, title, advice to clients.
macro_rules! problems {
    ($($name:ident $status:literal $code:literal $title:literal $advice:literal;)*) => {
        /// Every kind of problem that the service answers with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $(#[doc = $title] $name,)*
        }

        impl Kind {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The row of the table.
            pub(crate) const fn row(self) -> ProblemRow {
                let (status, code, title, advice) = match self {
                    $(Self::$name => ($status, $code, $title, $advice),)*
                };
                ProblemRow { status, code, title, advice }
            }
        }
    };
}

problems! {
    MalformedRequest 400 "malformed_request" "Malformed request"
        "Send the request as HTTP and the route's description want it; `detail` says what is wrong.";
    MalformedJson 400 "malformed_json" "Malformed JSON"
        "Send one JSON object in UTF-8.";
    InvalidInput 400 "invalid_input" "Invalid input"
        "Correct the fields that `errors` names.";
    InvalidCode 400 "invalid_code" "Invalid code"
        "Ask for the code again; several wrong ones end the challenge.";
    InvalidCredentials 401 "invalid_credentials" "Invalid credentials"
        "Ask for name and password again.";
    Unauthenticated 401 "unauthenticated" "Not authenticated"
        "Refresh the access token once, and log in again when that is refused too.";
    ChallengeExpired 401 "challenge_expired" "The challenge is over, log in again"
        "Log in again for a new `tempToken`.";
    Forbidden 403 "forbidden" "Not allowed"
        "Use an account with the permission, or an API key with the scope.";
    ReauthenticationRequired 403 "reauthentication_required" "Recent authentication required"
        "Prove who the person is with POST /auth/reauthenticate, then try again with the new access token.";
    EmailNotVerified 403 "email_not_verified" "Verify the e-mail address first"
        "Have the person verify the address, then try again.";
    CsrfFailed 403 "csrf_failed" "Cross-site request refused"
        "Send the request from an allowed origin, or repeat the csrfToken cookie in X-CSRF-Token.";
    NotFound 404 "not_found" "Not found"
        "Look at the path and the id; what belongs to somebody else is not found either.";
    MethodNotAllowed 405 "method_not_allowed" "Method not allowed"
        "Use a method that the `Allow` header names.";
    RequestTimeout 408 "request_timeout" "The request did not arrive in time"
        "Send the request again, faster.";
    EmailTaken 409 "email_taken" "Email already registered"
        "Log in, or use another address.";
    UsernameTaken 409 "username_taken" "Username already taken"
        "Choose another username.";
    EnrolmentExpired 409 "enrolment_expired" "Nothing is being set up, begin again"
        "Begin the set-up again.";
    MethodNotAvailable 409 "method_not_available" "This method is not available"
        "Offer a method that the login or GET /2fa/methods lists.";
    TwoFactorNotEnabled 409 "two_factor_not_enabled" "Two-factor authentication is not enabled"
        "Set a second factor up first.";
    BodyTooLarge 413 "body_too_large" "Request body too large"
        "Send less; `detail` says how much is taken.";
    UnsupportedMediaType 415 "unsupported_media_type" "Unsupported media type"
        "Send the content type that the route takes, in UTF-8 and not compressed.";
    RateLimited 429 "rate_limited" "Too many requests"
        "Wait for as many seconds as `Retry-After` says.";
    HeadersTooLarge 431 "headers_too_large" "Request headers too large"
        "Send fewer or shorter headers; often it is the cookies.";
    Internal 500 "internal_error" "Internal error"
        "Report it with the request id; trying again seldom helps.";
    Overloaded 503 "overloaded" "Overloaded, try again"
        "Nothing was changed: try again after `Retry-After`.";
    Unavailable 503 "unavailable" "Temporarily unavailable"
        "Nothing was changed: try again after `Retry-After`.";
    OutcomeUnknown 503 "outcome_unknown" "Outcome unknown"
        "Look whether the change was made before trying it again.";
    TimedOut 503 "timed_out" "No answer in time"
        "Look whether the change was made before trying it again.";
}

/// A row of the table of problems, for documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemRow {
    /// HTTP status.
    pub status: u16,
    /// Stable name, `snake_case`: `code` of a problem, and the end of its `type`.
    pub code: &'static str,
    /// The event, for a person.
    pub title: &'static str,
    /// A client's best next step, in a sentence.
    pub advice: &'static str,
}

/// The table of problems, by status.
pub fn problems() -> impl Iterator<Item = ProblemRow> {
    Kind::ALL.iter().map(|kind| kind.row())
}

impl Kind {
    /// Status of the response.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Stable name, `snake_case`.
    pub(crate) const fn code(self) -> &'static str {
        self.row().code
    }

    /// For a person.
    pub(crate) const fn title(self) -> &'static str {
        self.row().title
    }
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
            retry_after: (kind.status() == StatusCode::SERVICE_UNAVAILABLE)
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

    fn invalid(fields: Vec<auth::FieldError>) -> Self {
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
            (None, _) => Cow::Borrowed(self.kind.title()),
        }
    }

    /// The body: RFC 9457 members and the envelope's extensions. `instance` is the request id.
    pub(crate) fn body(&self, instance: &str) -> Bytes {
        let message = self.message();
        let document = Document {
            r#type: ProblemType(self.kind),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &message,
            instance,
            success: false,
            message: &message,
            code: self.kind.code(),
            errors: &self.errors,
        };
        serde_json::to_vec(&document).map_or_else(|_| Bytes::new(), Bytes::from)
    }
}

impl From<auth::Error> for Problem {
    fn from(error: auth::Error) -> Self {
        use auth::Error as E;
        match error {
            E::Invalid(fields) => Self::invalid(fields),
            E::InvalidCredentials => Self::new(Kind::InvalidCredentials),
            E::Unauthenticated => Self::new(Kind::Unauthenticated),
            E::ReauthenticationRequired => Self::new(Kind::ReauthenticationRequired),
            E::InvalidCode => Self::new(Kind::InvalidCode),
            E::ChallengeExpired => Self::new(Kind::ChallengeExpired),
            E::EnrolmentExpired => Self::new(Kind::EnrolmentExpired),
            E::MethodNotAvailable => Self::new(Kind::MethodNotAvailable),
            E::TwoFactorNotEnabled => Self::new(Kind::TwoFactorNotEnabled),
            E::EmailNotVerified => Self::new(Kind::EmailNotVerified),
            E::EmailTaken => Self::new(Kind::EmailTaken),
            E::UsernameTaken => Self::new(Kind::UsernameTaken),
            E::NotFound => Self::new(Kind::NotFound),
            E::RateLimited { retry_after } => Self::retry(Kind::RateLimited, retry_after),
            E::Overloaded { retry_after } => Self::retry(Kind::Overloaded, retry_after),
            E::StoreAway(source) => Self::caused(Kind::Unavailable, source),
            E::OutcomeUnknown => Self::detailed(
                Kind::OutcomeUnknown,
                "Nobody knows whether this happened. Look before you try again.",
            ),
            E::Internal(source) => Self::caused(Kind::Internal, source),
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
    401 invalid_credentials Invalid credentials
    401 unauthenticated Not authenticated
    401 challenge_expired The challenge is over, log in again
    403 forbidden Not allowed
    403 reauthentication_required Recent authentication required
    403 email_not_verified Verify the e-mail address first
    403 csrf_failed Cross-site request refused
    404 not_found Not found
    405 method_not_allowed Method not allowed
    408 request_timeout The request did not arrive in time
    409 email_taken Email already registered
    409 username_taken Username already taken
    409 enrolment_expired Nothing is being set up, begin again
    409 method_not_available This method is not available
    409 two_factor_not_enabled Two-factor authentication is not enabled
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
        let problem = Problem::from(auth::Error::StoreAway("redis at 10.0.0.7 is away".into()));
        let body = String::from_utf8(problem.body("req-1").to_vec()).expect("is text");
        assert_eq!(problem.retry_after, Some(Duration::from_secs(1)));
        insta::assert_snapshot!(body, @r#"{"type":"urn:sallyport:problem:unavailable","title":"Temporarily unavailable","status":503,"detail":"Temporarily unavailable","instance":"req-1","success":false,"message":"Temporarily unavailable","code":"unavailable","errors":[]}"#);
    }

    #[test]
    fn one_broken_field_is_named_in_the_message() {
        let fields = vec![auth::FieldError {
            field: "password",
            code: "too_short",
            message: "must have at least 8 bytes".to_owned(),
        }];
        let problem = Problem::from(auth::Error::Invalid(fields));
        assert_eq!(problem.message(), "password must have at least 8 bytes");
        let body: serde_json::Value =
            serde_json::from_slice(&problem.body("req-1")).expect("is JSON");
        assert_eq!(body["errors"][0]["code"], "too_short");
        assert_eq!(body["status"], 400);
    }
}
