//! The routes under load, as in the service's contract.

use hyper::Method;

/// A line of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Route {
    Register,
    Login,
    Me,
    Refresh,
    Logout,
    Sessions,
    TotpSetup,
    TotpVerifySetup,
    SecondFactor,
    Methods,
    BackupCodesCount,
    MakeApiKey,
}

impl Route {
    /// All of them, in the order of their declaration.
    pub(crate) const ALL: [Self; 12] = [
        Self::Register,
        Self::Login,
        Self::Me,
        Self::Refresh,
        Self::Logout,
        Self::Sessions,
        Self::TotpSetup,
        Self::TotpVerifySetup,
        Self::SecondFactor,
        Self::Methods,
        Self::BackupCodesCount,
        Self::MakeApiKey,
    ];

    /// Method and path, as reports name it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Register => "POST /auth/register",
            Self::Login => "POST /auth/login",
            Self::Me => "GET /auth/me",
            Self::Refresh => "POST /auth/refresh",
            Self::Logout => "POST /auth/logout",
            Self::Sessions => "GET /auth/sessions",
            Self::TotpSetup => "POST /2fa/totp/setup",
            Self::TotpVerifySetup => "POST /2fa/totp/verify-setup",
            Self::SecondFactor => "POST /2fa/verify",
            Self::Methods => "GET /2fa/methods",
            Self::BackupCodesCount => "GET /2fa/backup-codes/count",
            Self::MakeApiKey => "POST /api-keys",
        }
    }

    /// The method.
    pub(crate) fn method(self) -> Method {
        if self.label().starts_with("GET ") {
            Method::GET
        } else {
            Method::POST
        }
    }

    /// The path below the API's base.
    pub(crate) fn path(self) -> &'static str {
        self.label()
            .split_once(' ')
            .map_or("/", |(_method, path)| path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_stands_at_its_own_number_with_method_and_path() {
        for (number, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, number);
            assert!(route.path().starts_with('/'), "{route:?}");
        }
        assert_eq!(Route::Me.method(), Method::GET);
        assert_eq!(Route::Login.method(), Method::POST);
    }
}
