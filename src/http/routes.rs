//! The plan of the API: one line for each route. Who may call, which limit counts, what body is taken
//! and what the documents say comes from here and nowhere else.

use super::handlers::{
    backup_codes, devices, documents, enrolment, health, login, methods, outbox, password,
    register, second_factor, session,
};
use super::problem::Kind;
use super::route::Access::{Public, RecentUser};
use super::route::Limit::{LoginFailures, Register, Unlimited};
use super::route::Route;
use super::schema::{
    AccessTokenData, BackupCodeCountData, BackupCodesData, ChangeMethodBody, ChangePasswordBody,
    CodePostedData, DeviceData, DevicesData, EmailSetupBody, EnabledData, LoginBody, LoginData,
    MethodData, MethodsData, ReauthenticateBody, RefreshBody, RefreshedData, RegisterBody,
    RemovedDevicesData, RenameDeviceBody, ResendBody, RevokeSessionsBody, RevokedData,
    SessionsData, SignedInData, SmsSetupBody, TotpSetupData, UserData, VerifyBackupCodeBody,
    VerifyBody, VerifySetupBody, VerifyTotpSetupBody,
};

/// A handler as the table holds it.
macro_rules! run {
    ($handler:path) => {
        |call| Box::pin($handler(call))
    };
}

const SECOND_FACTOR: &str = "Second factor";
/// Why a code does not complete a login.
const CHALLENGE: &[Kind] = &[
    Kind::InvalidCode,
    Kind::ChallengeExpired,
    Kind::MethodNotAvailable,
    Kind::OutcomeUnknown,
];
/// Why nothing is proposed.
const PROPOSAL: &[Kind] = &[
    Kind::EmailNotVerified,
    Kind::MethodNotAvailable,
    Kind::OutcomeUnknown,
];
/// Why what was proposed is not enabled.
const ENROLMENT: &[Kind] = &[
    Kind::InvalidCode,
    Kind::EnrolmentExpired,
    Kind::OutcomeUnknown,
];
/// Why one thing among several is not changed.
const GONE: &[Kind] = &[Kind::NotFound, Kind::OutcomeUnknown];

/// What the public listener serves.
pub(super) const PUBLIC: &[Route] = &[
    // Authentication
    Route::post("/auth/register", run!(register::register))
        .titled("Authentication", "register", "Make an account and log in")
        .open_to(Public)
        .limited_by(Register)
        .hashes()
        .takes::<RegisterBody>()
        .gives::<SignedInData>(201)
        .refuses(&[Kind::EmailTaken, Kind::UsernameTaken, Kind::OutcomeUnknown]),
    Route::post("/auth/login", run!(login::login))
        .titled("Authentication", "login", "Log in with a password")
        .open_to(Public)
        .limited_by(LoginFailures)
        .hashes()
        .knows_devices()
        .takes::<LoginBody>()
        .gives::<LoginData>(200)
        .refuses(&[Kind::InvalidCredentials, Kind::OutcomeUnknown]),
    Route::post("/auth/refresh", run!(session::refresh))
        .titled(
            "Authentication",
            "refresh",
            "Rotate the refresh token for a new access token",
        )
        .open_to(Public)
        .takes_cookie()
        .may_take::<RefreshBody>()
        .gives::<RefreshedData>(200)
        .refuses(&[Kind::Unauthenticated, Kind::OutcomeUnknown]),
    Route::post("/auth/logout", run!(session::logout))
        .titled(
            "Authentication",
            "logout",
            "End the session of whichever token is given",
        )
        .open_to(Public)
        .takes_cookie()
        .may_take_token()
        .may_take::<RefreshBody>(),
    Route::get("/auth/me", run!(session::me))
        .titled("Authentication", "me", "The caller's account")
        .gives::<UserData>(200),
    Route::get("/auth/sessions", run!(session::list))
        .titled(
            "Authentication",
            "listSessions",
            "The caller's live sessions, newest first",
        )
        .gives::<SessionsData>(200),
    Route::delete("/auth/sessions/:id", run!(session::revoke))
        .titled(
            "Authentication",
            "revokeSession",
            "End one of the caller's sessions",
        )
        .refuses(&[Kind::NotFound]),
    Route::post("/auth/revoke-sessions", run!(session::revoke_all))
        .titled(
            "Authentication",
            "revokeSessions",
            "End all sessions of the caller, or all others",
        )
        .may_take::<RevokeSessionsBody>()
        .gives::<RevokedData>(200),
    Route::post("/auth/reauthenticate", run!(password::reauthenticate))
        .titled(
            "Authentication",
            "reauthenticate",
            "Prove again who the caller is",
        )
        .takes::<ReauthenticateBody>()
        .gives::<AccessTokenData>(200)
        .refuses(&[
            Kind::InvalidCredentials,
            Kind::InvalidCode,
            Kind::MethodNotAvailable,
        ]),
    Route::post("/auth/password/change", run!(password::change))
        .titled(
            "Authentication",
            "changePassword",
            "Change the password; other sessions end",
        )
        .open_to(RecentUser)
        .hashes()
        .takes::<ChangePasswordBody>()
        .refuses(&[Kind::InvalidCredentials]),
    // Second factor: the login
    Route::post("/2fa/verify", run!(second_factor::verify))
        .titled(SECOND_FACTOR, "verify", "Complete a login with a code")
        .open_to(Public)
        .takes::<VerifyBody>()
        .gives::<SignedInData>(200)
        .refuses(CHALLENGE),
    Route::post(
        "/2fa/verify-backup-code",
        run!(second_factor::verify_backup_code),
    )
    .titled(
        SECOND_FACTOR,
        "verifyBackupCode",
        "Complete a login with a backup code, which is used up",
    )
    .open_to(Public)
    .hashes()
    .takes::<VerifyBackupCodeBody>()
    .gives::<SignedInData>(200)
    .refuses(CHALLENGE),
    Route::post("/2fa/resend", run!(second_factor::resend))
        .titled(
            SECOND_FACTOR,
            "sendCode",
            "Send a code by SMS or mail, the first or another",
        )
        .open_to(Public)
        .takes::<ResendBody>()
        .gives::<CodePostedData>(200)
        .refuses(&[
            Kind::ChallengeExpired,
            Kind::MethodNotAvailable,
            Kind::OutcomeUnknown,
        ]),
    // Second factor: to set one up
    Route::post("/2fa/totp/setup", run!(enrolment::set_up_totp))
        .titled(SECOND_FACTOR, "setUpTotp", "Propose an authenticator app")
        .open_to(RecentUser)
        .gives::<TotpSetupData>(200)
        .refuses(&[Kind::EmailNotVerified, Kind::OutcomeUnknown]),
    Route::post("/2fa/totp/verify-setup", run!(enrolment::verify_totp))
        .titled(
            SECOND_FACTOR,
            "verifyTotpSetup",
            "Enable the authenticator app that was proposed",
        )
        .open_to(RecentUser)
        .takes::<VerifyTotpSetupBody>()
        .gives::<EnabledData>(200)
        .refuses(ENROLMENT),
    Route::delete("/2fa/totp", run!(methods::remove_totp))
        .titled(SECOND_FACTOR, "removeTotp", "Remove the authenticator app")
        .open_to(RecentUser)
        .refuses(GONE),
    Route::post("/2fa/sms/setup", run!(enrolment::set_up_sms))
        .titled(
            SECOND_FACTOR,
            "setUpSms",
            "Propose a phone, and send it a code",
        )
        .open_to(RecentUser)
        .takes::<SmsSetupBody>()
        .gives::<CodePostedData>(200)
        .refuses(PROPOSAL),
    Route::post("/2fa/sms/verify-setup", run!(enrolment::verify_sms))
        .titled(
            SECOND_FACTOR,
            "verifySmsSetup",
            "Enable the phone that was proposed",
        )
        .open_to(RecentUser)
        .takes::<VerifySetupBody>()
        .gives::<EnabledData>(200)
        .refuses(ENROLMENT),
    Route::post("/2fa/email/setup", run!(enrolment::set_up_email))
        .titled(
            SECOND_FACTOR,
            "setUpEmail",
            "Propose a mailbox, and send it a code",
        )
        .open_to(RecentUser)
        .takes::<EmailSetupBody>()
        .gives::<CodePostedData>(200)
        .refuses(PROPOSAL),
    Route::post("/2fa/email/verify-setup", run!(enrolment::verify_email))
        .titled(
            SECOND_FACTOR,
            "verifyEmailSetup",
            "Enable the mailbox that was proposed",
        )
        .open_to(RecentUser)
        .takes::<VerifySetupBody>()
        .gives::<EnabledData>(200)
        .refuses(ENROLMENT),
    // Second factor: to look after them
    Route::get("/2fa/methods", run!(methods::list))
        .titled(SECOND_FACTOR, "listMethods", "The caller's second factors")
        .gives::<MethodsData>(200),
    Route::patch("/2fa/methods/:id", run!(methods::change))
        .titled(
            SECOND_FACTOR,
            "changeMethod",
            "Prefer a second factor, or enable a disabled one again",
        )
        .takes::<ChangeMethodBody>()
        .gives::<MethodData>(200)
        .refuses(&[
            Kind::NotFound,
            Kind::ReauthenticationRequired,
            Kind::OutcomeUnknown,
        ]),
    Route::delete("/2fa/methods/:id", run!(methods::remove))
        .titled(
            SECOND_FACTOR,
            "removeMethod",
            "Remove a second factor; with the last one the backup codes go",
        )
        .open_to(RecentUser)
        .refuses(GONE),
    Route::get("/2fa/backup-codes/count", run!(backup_codes::count))
        .titled(
            SECOND_FACTOR,
            "countBackupCodes",
            "How many backup codes are left",
        )
        .gives::<BackupCodeCountData>(200)
        .refuses(&[Kind::TwoFactorNotEnabled]),
    Route::post("/2fa/backup-codes/generate", run!(backup_codes::generate))
        .titled(
            SECOND_FACTOR,
            "generateBackupCodes",
            "New backup codes in the place of the old ones",
        )
        .open_to(RecentUser)
        .hashes()
        .gives::<BackupCodesData>(200)
        .refuses(&[Kind::TwoFactorNotEnabled, Kind::OutcomeUnknown]),
    Route::get("/2fa/devices", run!(devices::list))
        .titled(SECOND_FACTOR, "listDevices", "The caller's trusted devices")
        .gives::<DevicesData>(200),
    Route::delete("/2fa/devices", run!(devices::remove_all))
        .titled(SECOND_FACTOR, "removeDevices", "Trust no device any more")
        .gives::<RemovedDevicesData>(200)
        .refuses(&[Kind::OutcomeUnknown]),
    Route::patch("/2fa/devices/:id", run!(devices::rename))
        .titled(
            SECOND_FACTOR,
            "renameDevice",
            "Call a trusted device by another name",
        )
        .takes::<RenameDeviceBody>()
        .gives::<DeviceData>(200)
        .refuses(GONE),
    Route::delete("/2fa/devices/:id", run!(devices::remove))
        .titled(SECOND_FACTOR, "removeDevice", "Trust a device no more")
        .refuses(GONE),
    // Documents
    Route::get(
        "/.well-known/paseto-keys.json",
        run!(documents::paseto_keys),
    )
    .titled(
        "Documents",
        "pasetoKeys",
        "Public keys of the access tokens (PASERK)",
    )
    .open_to(Public)
    .limited_by(Unlimited)
    .shows_document(),
    Route::get("/openapi.json", run!(documents::openapi))
        .titled("Documents", "openapi", "This document")
        .open_to(Public)
        .limited_by(Unlimited)
        .shows_document(),
    // Health
    HEALTH,
    LIVE,
    READY,
];

/// What the public listener serves besides in dev mode, and no document tells of.
pub(super) const DEV: &[Route] = &[Route::get("/dev/outbox", run!(outbox::show))
    .titled("Dev mode", "outbox", "Letters that stayed in the house")
    .open_to(Public)
    .limited_by(Unlimited)
    .shows_document()];

/// What the internal listener serves.
pub(super) const ADMIN: &[Route] = &[
    Route::get("/metrics", run!(documents::metrics))
        .titled("Health", "metrics", "Metrics in Prometheus' text format")
        .open_to(Public)
        .limited_by(Unlimited)
        .shows_text(),
    HEALTH,
    LIVE,
    READY,
    LIVE.at("/live"),
    READY.at("/ready"),
];

const HEALTH: Route = Route::get("/health", run!(health::health))
    .titled("Health", "health", "How the service and its stores are")
    .open_to(Public)
    .limited_by(Unlimited)
    .shows::<health::HealthReport>(&[200, 503]);

const LIVE: Route = Route::get("/health/live", run!(health::live))
    .titled(
        "Health",
        "live",
        "Whether the process lives; depends on nothing",
    )
    .open_to(Public)
    .limited_by(Unlimited)
    .shows::<health::StatusReport>(&[200]);

const READY: Route = Route::get("/health/ready", run!(health::ready))
    .titled("Health", "ready", "Whether requests should be sent here")
    .open_to(Public)
    .limited_by(Unlimited)
    .shows::<health::StatusReport>(&[200, 503]);

#[cfg(test)]
mod tests;
