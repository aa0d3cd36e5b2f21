//! A row of the route table. Everything that is enforced before a handler runs, measured around it and
//! documented about it comes from here.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use hyper::Method;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::access::Access;
use super::input::{Handler, MAX_PARAMETERS};
use super::problem::{Kind, Problem};
use super::reply::Reply;

/// A handler at work.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;

/// Methods that routes have. `HEAD` is answered by `Get`, `OPTIONS` by the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Verb {
    /// The verb that answers `method`.
    pub(crate) fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::POST => Some(Self::Post),
            Method::PATCH => Some(Self::Patch),
            Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }

    /// Its name in `Allow` and in metric labels.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether its handlers change nothing, so that nothing is lost when the client hangs up.
    pub(crate) const fn is_safe(self) -> bool {
        matches!(self, Self::Get)
    }
}

/// The limit that a request takes from before its handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// None: health, keys, documents; and logout, which nothing may keep from ending a session.
    Unlimited,
    /// Registrations of one address.
    Register,
    /// Login failures, which the use case counts itself.
    LoginFailures,
    /// Requests with a token of a session or challenge, which the use case counts by that, or by address when the
    /// token is not ours: junk from a shared address must not stop its other users.
    Token,
    /// Everything else: by account with a valid token, by address without.
    General,
}

/// The cost of a request besides questions to the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Nothing to speak of, or it depends.
    Usual,
    /// A password or code is hashed, whoever calls.
    Hash,
}

/// Whether answers hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Those of routes that change something may; others do not.
    Usual,
    /// They do.
    Secret,
}

/// The body that a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyRule {
    /// None; whatever comes is not read.
    None,
    /// A JSON object.
    Json,
    /// A JSON object, or nothing, which counts as `{}`.
    OptionalJson,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// A documented type.
#[derive(Clone, Copy)]
pub(crate) struct SchemaOf {
    pub(crate) name: fn() -> Cow<'static, str>,
    pub(crate) schema: fn() -> RefOr<Schema>,
    pub(crate) parts: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl SchemaOf {
    pub(crate) const fn of<T: ToSchema>() -> Self {
        Self {
            name: T::name,
            schema: T::schema,
            parts: T::schemas,
        }
    }
}

/// The shape of a success.
#[derive(Clone, Copy)]
pub(crate) enum Success {
    /// `data` of the envelope; `None` is an empty object.
    Data(u16, Option<SchemaOf>),
    /// JSON outside of the envelope, the same shape with each of these statuses.
    Bare(&'static [u16], Option<SchemaOf>),
    /// A page, text or file of this media type.
    Content(&'static str),
    /// A redirect with this status.
    Redirect(u16),
}

impl Success {
    /// Statuses that the route answers with when all goes well.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        match self {
            Self::Data(status, _) | Self::Redirect(status) => vec![*status],
            Self::Bare(statuses, _) => statuses.to_vec(),
            Self::Content(_) => vec![200],
        }
    }
}

/// Groups of routes in the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Authentication,
    SecondFactor,
    Audit,
    ApiKeys,
    Administration,
    Documents,
    Health,
    Dev,
}

impl Tag {
    /// All of them, in the order of the document.
    pub(crate) const ALL: &[Self] = &[
        Self::Authentication,
        Self::SecondFactor,
        Self::Audit,
        Self::ApiKeys,
        Self::Administration,
        Self::Documents,
        Self::Health,
        Self::Dev,
    ];

    /// Name and description.
    pub(crate) const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Authentication => (
                "Authentication",
                "Accounts, passwords, sessions and their tokens.",
            ),
            Self::SecondFactor => (
                "Second factor",
                "Logins with a second factor, the methods of an account, backup codes and trusted devices.",
            ),
            Self::Audit => ("Audit", "What happened, to whom, by whom."),
            Self::Administration => (
                "Administration",
                "Roles and the accounts of others, for whom a role permits it.",
            ),
            Self::ApiKeys => (
                "API keys",
                "Keys of programs, which act for an account as far as their scopes go.",
            ),
            Self::Documents => ("Documents", "Published keys and this document."),
            Self::Health => (
                "Health",
                "State of the service, for load balancers and monitoring.",
            ),
            Self::Dev => ("Dev mode", "Tools of a development machine."),
        }
    }
}

/// A row of the route table.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "a row is a list of facts")]
pub(crate) struct Route {
    pub(crate) verb: Verb,
    /// `/a/:id/b/:other`; the handler's [`Path`](super::input::Path) types its parameters.
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
    pub(crate) access: Access,
    pub(crate) limit: Limit,
    /// Most bytes of body; `None` is `MAX_BODY_BYTES`.
    pub(crate) body_bound: Option<usize>,
    /// The refresh cookie is accepted here, under the rules of `csrf`.
    pub(crate) cookie: bool,
    /// A new session may replace the one of the refresh cookie, which ends then.
    pub(crate) replaces_session: bool,
    /// The cookie of a trusted device is looked at here.
    pub(crate) device: bool,
    pub(crate) cost: Cost,
    pub(crate) secrecy: Secrecy,
    /// An access token counts here although anybody may call.
    pub(crate) token: bool,
    /// Callers who owe a second factor (`REQUIRE_2FA`) may call.
    pub(crate) before_set_up: bool,
    /// `operationId` and summary of the `OpenAPI` document.
    pub(crate) title: (&'static str, &'static str),
    /// More about it, for the `OpenAPI` document.
    pub(crate) description: &'static str,
    pub(crate) tag: Tag,
    pub(crate) success: Success,
    /// Problems of its own, beside those that follow from the rest of the row.
    pub(crate) refusals: &'static [Kind],
}

impl Route {
    const fn new(verb: Verb, path: &'static str, handler: Handler) -> Self {
        let parameters = count_parameters(path);
        assert!(
            parameters == handler.input.path.len() && parameters <= MAX_PARAMETERS,
            "the handler's Path does not fit the path"
        );
        Self {
            verb,
            path,
            handler,
            access: Access::User,
            limit: Limit::General,
            body_bound: None,
            cookie: false,
            replaces_session: false,
            device: false,
            cost: Cost::Usual,
            secrecy: Secrecy::Usual,
            token: false,
            before_set_up: false,
            title: ("", ""),
            description: "",
            tag: Tag::Dev,
            success: Success::Data(200, None),
            refusals: &[],
        }
    }

    pub(crate) const fn get(path: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Get, path, handler)
    }

    pub(crate) const fn post(path: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Post, path, handler)
    }

    pub(crate) const fn patch(path: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Patch, path, handler)
    }

    pub(crate) const fn delete(path: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Delete, path, handler)
    }

    /// The same at another path.
    pub(crate) const fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// Group, `operationId` and summary in the `OpenAPI` document.
    pub(crate) const fn titled(
        mut self,
        tag: Tag,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        self.tag = tag;
        self.title = (id, summary);
        self
    }

    /// More about it than its summary says, in sentences for clients.
    pub(crate) const fn described(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Open to `access`; without it only users may call.
    pub(crate) const fn open_to(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Limited by `limit`; without it the general limits hold.
    pub(crate) const fn limited_by(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// Takes bodies of at most so many bytes, whatever `MAX_BODY_BYTES` says.
    pub(crate) const fn takes_at_most(mut self, bytes: usize) -> Self {
        self.body_bound = Some(bytes);
        self
    }

    /// Takes the refresh cookie.
    pub(crate) const fn takes_cookie(mut self) -> Self {
        self.cookie = true;
        self
    }

    /// Begins a session in the place of the one of the refresh cookie, if there is one.
    pub(crate) const fn replaces_session(mut self) -> Self {
        self.replaces_session = true;
        self
    }

    /// Looks at the cookie of a trusted device.
    pub(crate) const fn knows_devices(mut self) -> Self {
        self.device = true;
        self
    }

    /// Hashes a password or code. Refused before anything is read, asked or counted while the hash queue is full.
    /// (A use case that hashes only now and then asks for admission itself.)
    pub(crate) const fn hashes(mut self) -> Self {
        self.cost = Cost::Hash;
        self
    }

    /// Answers with secrets, so that its answers are never compressed. (Those of routes that change something never
    /// are.)
    pub(crate) const fn holds_secrets(mut self) -> Self {
        self.secrecy = Secrecy::Secret;
        self
    }

    /// Takes an access token, though nobody needs one.
    pub(crate) const fn may_take_token(mut self) -> Self {
        self.token = true;
        self
    }

    /// Open to callers who owe a second factor.
    pub(crate) const fn opens_before_set_up(mut self) -> Self {
        self.before_set_up = true;
        self
    }

    /// Whether callers who owe a second factor are refused.
    pub(crate) const fn asks_for_set_up(&self) -> bool {
        !self.before_set_up && !self.access.is_open()
    }

    /// Gives `data` in the envelope.
    pub(crate) const fn gives<T: ToSchema>(mut self, status: u16) -> Self {
        self.success = Success::Data(status, Some(SchemaOf::of::<T>()));
        self
    }

    /// Gives JSON outside of the envelope.
    pub(crate) const fn shows<T: ToSchema>(mut self, statuses: &'static [u16]) -> Self {
        self.success = Success::Bare(statuses, Some(SchemaOf::of::<T>()));
        self
    }

    /// Gives a JSON document of no fixed shape.
    pub(crate) const fn shows_document(mut self) -> Self {
        self.success = Success::Bare(&[200], None);
        self
    }

    /// Gives a page, text, file or stream of this media type.
    pub(crate) const fn shows_content(mut self, media_type: &'static str) -> Self {
        self.success = Success::Content(media_type);
        self
    }

    /// Redirects with this status.
    pub(crate) const fn redirects(mut self, status: u16) -> Self {
        self.success = Success::Redirect(status);
        self
    }

    /// Refuses for reasons of its own.
    pub(crate) const fn refuses(mut self, refusals: &'static [Kind]) -> Self {
        self.refusals = refusals;
        self
    }
}

const fn count_parameters(path: &str) -> usize {
    let (bytes, mut at, mut count) = (path.as_bytes(), 0, 0);
    while at < bytes.len() {
        if bytes[at] == b':' {
            count += 1;
        }
        at += 1;
    }
    count
}
