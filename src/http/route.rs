//! What one line of the route table says. Everything that is enforced before a handler runs, measured
//! around it and documented about it comes from here.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use hyper::Method;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::call::Call;
use super::problem::{Kind, Problem};
use super::reply::Reply;

/// A handler at work.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;
/// Turns a decoded request into a use case and its answer into a reply.
pub(super) type Handler = fn(Call) -> Work;

/// Methods that routes have. `HEAD` is answered by `Get`, `OPTIONS` by the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Verb {
    /// Which verb answers `method`.
    pub(super) fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::POST => Some(Self::Post),
            Method::PATCH => Some(Self::Patch),
            Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }

    /// As it stands in `Allow` and in metric labels.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether its handlers change nothing, so that nothing is lost when the client hangs up.
    pub(super) const fn is_safe(self) -> bool {
        matches!(self, Self::Get)
    }
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody.
    Public,
    /// Whoever has a valid access token of a live session.
    User,
    /// A user who proved who they are a short while ago.
    RecentUser,
}

/// Which limit a request takes from before its handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// None: health, keys, documents.
    Unlimited,
    /// Registrations of one address.
    Register,
    /// Login failures, which the use case counts itself.
    LoginFailures,
    /// Everything else: by account with a valid token, by address without.
    General,
}

/// What a request costs besides questions to the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// Nothing to speak of, or it depends.
    Usual,
    /// Whoever calls, a password or code is hashed.
    Hash,
}

/// What body is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyRule {
    /// None; whatever comes is not read.
    None,
    /// A JSON object.
    Json,
    /// A JSON object, or nothing, which counts as `{}`.
    OptionalJson,
}

/// A documented type.
#[derive(Clone, Copy)]
pub(super) struct SchemaOf {
    pub(super) name: fn() -> Cow<'static, str>,
    pub(super) schema: fn() -> RefOr<Schema>,
    pub(super) parts: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl SchemaOf {
    pub(super) const fn of<T: ToSchema>() -> Self {
        Self {
            name: T::name,
            schema: T::schema,
            parts: T::schemas,
        }
    }
}

/// What a success looks like.
#[derive(Clone, Copy)]
pub(super) enum Success {
    /// `data` of the envelope; `None` is an empty object.
    Data(u16, Option<SchemaOf>),
    /// JSON outside of the envelope, the same shape with each of these statuses.
    Bare(&'static [u16], Option<SchemaOf>),
    /// Text.
    Text,
}

/// A line of the route table.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) handler: Handler,
    pub(super) access: Access,
    pub(super) limit: Limit,
    pub(super) body: BodyRule,
    /// The refresh cookie is accepted here, under the rules of `csrf`.
    pub(super) cookie: bool,
    /// The cookie of a trusted device is looked at here.
    pub(super) device: bool,
    pub(super) cost: Cost,
    /// An access token counts here although anybody may call.
    pub(super) token: bool,
    /// `operationId` and summary of the `OpenAPI` document.
    pub(super) title: (&'static str, &'static str),
    pub(super) tag: &'static str,
    pub(super) request: Option<SchemaOf>,
    pub(super) success: Success,
    /// Problems of its own, beside those that follow from the rest of the line.
    pub(super) refusals: &'static [Kind],
}

impl Route {
    const fn new(verb: Verb, path: &'static str, handler: Handler) -> Self {
        Self {
            verb,
            path,
            handler,
            access: Access::User,
            limit: Limit::General,
            body: BodyRule::None,
            cookie: false,
            device: false,
            cost: Cost::Usual,
            token: false,
            title: ("", ""),
            tag: "",
            request: None,
            success: Success::Data(200, None),
            refusals: &[],
        }
    }

    pub(super) const fn get(path: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Get, path, handler)
    }

    pub(super) const fn post(path: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Post, path, handler)
    }

    pub(super) const fn patch(path: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Patch, path, handler)
    }

    pub(super) const fn delete(path: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Delete, path, handler)
    }

    /// The same at another path.
    pub(super) const fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// Named in the `OpenAPI` document.
    pub(super) const fn titled(
        mut self,
        tag: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        self.tag = tag;
        self.title = (id, summary);
        self
    }

    /// Open to `access`; without this line only users may call.
    pub(super) const fn open_to(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Limited by `limit`; without this line the general limits hold.
    pub(super) const fn limited_by(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// Takes a JSON body.
    pub(super) const fn takes<T: ToSchema>(mut self) -> Self {
        self.body = BodyRule::Json;
        self.request = Some(SchemaOf::of::<T>());
        self
    }

    /// Takes a JSON body, or none.
    pub(super) const fn may_take<T: ToSchema>(mut self) -> Self {
        self.body = BodyRule::OptionalJson;
        self.request = Some(SchemaOf::of::<T>());
        self
    }

    /// Takes the refresh cookie.
    pub(super) const fn takes_cookie(mut self) -> Self {
        self.cookie = true;
        self
    }

    /// Looks at the cookie of a trusted device.
    pub(super) const fn knows_devices(mut self) -> Self {
        self.device = true;
        self
    }

    /// Hashes a password or code. Refused before anything is read, asked or counted while there is no room for
    /// it. (What hashes only now and then asks for a place itself.)
    pub(super) const fn hashes(mut self) -> Self {
        self.cost = Cost::Hash;
        self
    }

    /// Takes an access token, though nobody needs one.
    pub(super) const fn may_take_token(mut self) -> Self {
        self.token = true;
        self
    }

    /// Gives `data` in the envelope.
    pub(super) const fn gives<T: ToSchema>(mut self, status: u16) -> Self {
        self.success = Success::Data(status, Some(SchemaOf::of::<T>()));
        self
    }

    /// Gives JSON outside of the envelope.
    pub(super) const fn shows<T: ToSchema>(mut self, statuses: &'static [u16]) -> Self {
        self.success = Success::Bare(statuses, Some(SchemaOf::of::<T>()));
        self
    }

    /// Gives a JSON document of no fixed shape.
    pub(super) const fn shows_document(mut self) -> Self {
        self.success = Success::Bare(&[200], None);
        self
    }

    /// Gives text.
    pub(super) const fn shows_text(mut self) -> Self {
        self.success = Success::Text;
        self
    }

    /// Refuses for reasons of its own.
    pub(super) const fn refuses(mut self, refusals: &'static [Kind]) -> Self {
        self.refusals = refusals;
        self
    }
}
