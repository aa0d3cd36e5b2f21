//! Table of problems: every error that a client can be answered with, one row each (RFC 9457).
//!
//! A use case refuses with a row ([`Error::Refused`](super::Error::Refused)); `http` makes the response of it.

/// Defines every kind of problem as one row: name, status, code, title, advice to clients.
macro_rules! problems {
    ($($name:ident $status:literal $code:literal $title:literal $advice:literal;)*) => {
        /// Every kind of problem that the service answers with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemKind {
            $(#[doc = $title] $name,)*
        }

        impl ProblemKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The row of the table.
            #[must_use]
            pub const fn row(self) -> ProblemRow {
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
    NumberNotServed 400 "number_not_served" "No SMS are sent to this number"
        "Ask for a number of another country, or for another method.";
    InvalidCredentials 401 "invalid_credentials" "Invalid credentials"
        "Ask for name and password again.";
    Unauthenticated 401 "unauthenticated" "Not authenticated"
        "Refresh the access token once, and log in again when that is refused too.";
    ChallengeExpired 401 "challenge_expired" "The challenge is over, log in again"
        "Log in again for a new `tempToken`.";
    Forbidden 403 "forbidden" "Not allowed"
        "Use an account with the permission, or an API key with the scope.";
    AddressNotAllowed 403 "address_not_allowed" "The API key may not be used from this address"
        "Use it from an address of its `allowedIps`, or add this one to them.";
    ReauthenticationRequired 403 "reauthentication_required" "Recent authentication required"
        "Prove who the person is with POST /auth/reauthenticate, by one of `acceptedMethods`, then try again with the new access token.";
    TwoFactorRequired 403 "two_factor_required" "A second factor must be set up first"
        "Have the person set one up with POST /2fa/totp/setup (or sms, email), then try again.";
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
    RoleNameTaken 409 "role_name_taken" "A role has or had this name"
        "Choose another name; those of removed roles are not used again.";
    LastAdministrator 409 "last_administrator" "The last administrator must stay one"
        "Make somebody else an administrator first.";
    EnrolmentExpired 409 "enrolment_expired" "Nothing is being set up, begin again"
        "Begin the set-up again.";
    MethodNotAvailable 409 "method_not_available" "This method is not available"
        "Offer a method that the login or GET /2fa/methods lists.";
    TwoFactorNotEnabled 409 "two_factor_not_enabled" "Two-factor authentication is not enabled"
        "Set a second factor up first.";
    ApiKeyLimit 409 "api_key_limit" "Too many API keys"
        "Delete a key that is not needed any more.";
    ApiKeyRevoked 409 "api_key_revoked" "The API key is revoked"
        "Make another key.";
    ApiKeyChanged 409 "api_key_changed" "The API key was rotated by somebody else meanwhile"
        "Look at the key, and rotate it again if the new secret is not yours.";
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
    ProblemKind::ALL.iter().map(|kind| kind.row())
}

impl ProblemKind {
    /// Stable name, `snake_case`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }
}
