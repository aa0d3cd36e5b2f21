//! What went wrong, for people and programs: RFC 9457 problems out of one table.
//!
//! A [`Kind`] is a line of the table; a [`Problem`] is a kind met in one request. The source of a
//! failure is logged once at the edge and never sent.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;

use crate::auth;

/// Defines the kinds and their table in one place.
macro_rules! kinds {
    ($($name:ident $status:literal $code:literal $title:literal;)*) => {
        /// Every kind of problem that the service answers with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind {
            $(#[doc = $title] $name,)*
        }

        impl Kind {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            const fn entry(self) -> (u16, &'static str, &'static str) {
                match self {
                    $(Self::$name => ($status, $code, $title),)*
                }
            }
        }
    };
}

kinds! {
    MalformedRequest 400 "malformed_request" "Malformed request";
    MalformedJson 400 "malformed_json" "Malformed JSON";
    InvalidInput 400 "invalid_input" "Invalid input";
    InvalidCode 400 "invalid_code" "Invalid code";
    InvalidCredentials 401 "invalid_credentials" "Invalid credentials";
    Unauthenticated 401 "unauthenticated" "Not authenticated";
    ChallengeExpired 401 "challenge_expired" "The challenge is over, log in again";
    ReauthenticationRequired 403 "reauthentication_required" "Recent authentication required";
    EmailNotVerified 403 "email_not_verified" "Verify the e-mail address first";
    CsrfFailed 403 "csrf_failed" "Cross-site request refused";
    NotFound 404 "not_found" "Not found";
    MethodNotAllowed 405 "method_not_allowed" "Method not allowed";
    RequestTimeout 408 "request_timeout" "The request did not arrive in time";
    EmailTaken 409 "email_taken" "Email already registered";
    UsernameTaken 409 "username_taken" "Username already taken";
    EnrolmentExpired 409 "enrolment_expired" "Nothing is being set up, begin again";
    MethodNotAvailable 409 "method_not_available" "This method is not available";
    TwoFactorNotEnabled 409 "two_factor_not_enabled" "Two-factor authentication is not enabled";
    BodyTooLarge 413 "body_too_large" "Request body too large";
    UnsupportedMediaType 415 "unsupported_media_type" "Unsupported media type";
    RateLimited 429 "rate_limited" "Too many requests";
    HeadersTooLarge 431 "headers_too_large" "Request headers too large";
    Internal 500 "internal_error" "Internal error";
    Overloaded 503 "overloaded" "Overloaded, try again";
    Unavailable 503 "unavailable" "Temporarily unavailable";
    OutcomeUnknown 503 "outcome_unknown" "Outcome unknown";
    TimedOut 503 "timed_out" "No answer in time";
}

impl Kind {
    /// Status of the response.
    pub(super) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.entry().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Stable name, `snake_case`.
    pub(super) const fn code(self) -> &'static str {
        self.entry().1
    }

    /// For a person.
    pub(super) const fn title(self) -> &'static str {
        self.entry().2
    }
}

/// One field of the request that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(super) struct FieldProblem {
    /// Name of the field as the client sent it.
    pub(super) field: Cow<'static, str>,
    /// Stable, `snake_case`.
    pub(super) code: &'static str,
    /// For a person.
    pub(super) message: String,
}

/// A problem met in one request.
#[derive(Debug)]
pub(super) struct Problem {
    /// Which line of the table.
    pub(super) kind: Kind,
    /// More for a person than the title tells; never anything secret.
    pub(super) detail: Option<Cow<'static, str>>,
    /// Fields that break a rule.
    pub(super) errors: Vec<FieldProblem>,
    /// When to try again.
    pub(super) retry_after: Option<Duration>,
    /// For the log alone.
    pub(super) source: Option<String>,
}

impl Problem {
    /// A problem with nothing more to say than its title.
    pub(super) fn new(kind: Kind) -> Self {
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
    pub(super) fn detailed(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::new(kind)
        }
    }

    /// A problem whose cause belongs into the log.
    pub(super) fn caused(kind: Kind, source: String) -> Self {
        Self {
            source: Some(source),
            ..Self::new(kind)
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

    /// What a person should read.
    pub(super) fn message(&self) -> Cow<'_, str> {
        match (&self.detail, self.errors.as_slice()) {
            (Some(detail), _) => Cow::Borrowed(detail),
            (None, [error]) => Cow::Owned(format!("{} {}", error.field, error.message)),
            (None, _) => Cow::Borrowed(self.kind.title()),
        }
    }

    /// The body: RFC 9457 members and the envelope's extensions. `instance` is the request id.
    pub(super) fn body(&self, instance: &str) -> Bytes {
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
        let table: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| {
                format!(
                    "{} {} {}",
                    kind.status().as_u16(),
                    kind.code(),
                    kind.title()
                )
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
    400 malformed_request Malformed request
    400 malformed_json Malformed JSON
    400 invalid_input Invalid input
    400 invalid_code Invalid code
    401 invalid_credentials Invalid credentials
    401 unauthenticated Not authenticated
    401 challenge_expired The challenge is over, log in again
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
