//! Decoded input of a handler. The types in a handler's signature are what is decoded, and what the `OpenAPI`
//! document shows: [`handler!`](handler) reads both from the one signature.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::call::Call;
use super::problem::{Kind, Problem};
use super::route::{BodyRule, SchemaOf, Work};
use super::{json, pairs};
use crate::model::{ApiKeyId, DeviceId, MethodId, SessionId, UserId};

/// Most parameters that a path may have.
pub(crate) const MAX_PARAMETERS: usize = 4;

/// Values of a path's parameters, in the order of the path, as they were sent: ids and slugs need no escaping, so an
/// escaped value is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathValues<'a> {
    values: [&'a str; MAX_PARAMETERS],
    count: usize,
}

impl<'a> PathValues<'a> {
    /// Adds a value. `None` when there are too many.
    pub(crate) fn push(&mut self, value: &'a str) -> Option<()> {
        *self.values.get_mut(self.count)? = value;
        self.count += 1;
        Some(())
    }

    /// All of them.
    pub(crate) fn as_slice(&self) -> &[&'a str] {
        &self.values[..self.count]
    }
}

/// A request's input before it is decoded.
pub(crate) struct RawInput<'a> {
    pub(crate) path: PathValues<'a>,
    /// Query string without its question mark; empty when there is none.
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
}

/// Documented types of an input.
#[derive(Clone, Copy)]
pub(crate) struct InputShape {
    /// JSON Schema formats of the path's parameters, in order.
    pub(crate) path: &'static [&'static str],
    pub(crate) query: Option<SchemaOf>,
    pub(crate) body: BodyRule,
    pub(crate) body_schema: Option<SchemaOf>,
}

impl InputShape {
    const NOTHING: Self = Self {
        path: &[],
        query: None,
        body: BodyRule::None,
        body_schema: None,
    };

    const fn of_body<T: ToSchema>(body: BodyRule) -> Self {
        Self {
            body,
            body_schema: Some(SchemaOf::of::<T>()),
            ..Self::NOTHING
        }
    }

    /// Both inputs together.
    const fn and(self, other: Self) -> Self {
        let (body, body_schema) = match self.body {
            BodyRule::None => (other.body, other.body_schema),
            body => (body, self.body_schema),
        };
        Self {
            path: if self.path.is_empty() {
                other.path
            } else {
                self.path
            },
            query: if self.query.is_some() {
                self.query
            } else {
                other.query
            },
            body,
            body_schema,
        }
    }
}

/// An input that can be decoded.
pub(crate) trait Input: Sized {
    /// Types for routing and documents.
    const SHAPE: InputShape;

    /// Decodes it, or says what is wrong with the request.
    fn decode(raw: &RawInput<'_>) -> Result<Self, Problem>;
}

/// A handler as the route table holds it: made by [`handler!`](handler).
#[derive(Clone, Copy)]
pub(crate) struct Handler {
    /// Decodes the input and returns the work to do.
    pub(crate) start: fn(Call, &RawInput<'_>) -> Result<Work, Problem>,
    pub(crate) input: InputShape,
}

/// The input that a handler function takes.
pub(crate) const fn shape_of<I: Input, F>(_: fn(Call, I) -> F) -> InputShape {
    I::SHAPE
}

/// A handler of the route table, from an `async fn(Call, impl Input) -> Result<Reply, Problem>`.
macro_rules! handler {
    ($function:path) => {
        $crate::http::contract::input::Handler {
            start: |call, raw| {
                let input = $crate::http::contract::input::Input::decode(raw)?;
                Ok(Box::pin($function(call, input)))
            },
            input: $crate::http::contract::input::shape_of($function),
        }
    };
}
pub(crate) use handler;

/// A value that may stand in a path.
pub(crate) trait PathValue: FromStr {
    /// Its JSON Schema format; empty for text of any shape.
    const FORMAT: &'static str;
}

impl PathValue for ApiKeyId {
    const FORMAT: &'static str = "uuid";
}

impl PathValue for DeviceId {
    const FORMAT: &'static str = "uuid";
}

impl PathValue for MethodId {
    const FORMAT: &'static str = "uuid";
}

impl PathValue for UserId {
    const FORMAT: &'static str = "uuid";
}

impl PathValue for String {
    const FORMAT: &'static str = "";
}

impl PathValue for SessionId {
    const FORMAT: &'static str = "uuid";
}

/// The values of a path: one, or a tuple of several.
pub(crate) trait PathValueList: Sized {
    const FORMATS: &'static [&'static str];

    fn parse(values: &[&str]) -> Option<Self>;
}

impl<T: PathValue> PathValueList for T {
    const FORMATS: &'static [&'static str] = &[T::FORMAT];

    fn parse(values: &[&str]) -> Option<Self> {
        values.first()?.parse().ok()
    }
}

impl<A: PathValue, B: PathValue> PathValueList for (A, B) {
    const FORMATS: &'static [&'static str] = &[A::FORMAT, B::FORMAT];

    fn parse(values: &[&str]) -> Option<Self> {
        let [first, second] = values else { return None };
        first.parse().ok().zip(second.parse().ok())
    }
}

/// Parameters of the path. A value that does not parse names nothing: 404.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: PathValueList> Input for Path<T> {
    const SHAPE: InputShape = InputShape {
        path: T::FORMATS,
        ..InputShape::NOTHING
    };

    fn decode(raw: &RawInput<'_>) -> Result<Self, Problem> {
        let values = T::parse(raw.path.as_slice());
        values.map(Self).ok_or_else(|| Problem::new(Kind::NotFound))
    }
}

/// The query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + ToSchema> Input for Query<T> {
    const SHAPE: InputShape = InputShape {
        query: Some(SchemaOf::of::<T>()),
        ..InputShape::NOTHING
    };

    fn decode(raw: &RawInput<'_>) -> Result<Self, Problem> {
        pairs::decode(raw.query.as_bytes()).map(Self)
    }
}

/// A JSON object.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + ToSchema> Input for Json<T> {
    const SHAPE: InputShape = InputShape::of_body::<T>(BodyRule::Json);

    fn decode(raw: &RawInput<'_>) -> Result<Self, Problem> {
        json::decode(raw.body).map(Self)
    }
}

/// A JSON object, or no body at all, which counts as `{}`.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + ToSchema> Input for OptionalJson<T> {
    const SHAPE: InputShape = InputShape::of_body::<T>(BodyRule::OptionalJson);

    fn decode(raw: &RawInput<'_>) -> Result<Self, Problem> {
        let body: &[u8] = if raw.body.is_empty() { b"{}" } else { raw.body };
        json::decode(body).map(Self)
    }
}

/// A form as browsers and the RFCs of OAuth send it.
pub(crate) struct Form<T>(pub(crate) T);

impl<T: DeserializeOwned + ToSchema> Input for Form<T> {
    const SHAPE: InputShape = InputShape::of_body::<T>(BodyRule::Form);

    fn decode(raw: &RawInput<'_>) -> Result<Self, Problem> {
        pairs::decode(raw.body).map(Self)
    }
}

impl Input for () {
    const SHAPE: InputShape = InputShape::NOTHING;

    fn decode(_: &RawInput<'_>) -> Result<Self, Problem> {
        Ok(())
    }
}

impl<A: Input, B: Input> Input for (A, B) {
    const SHAPE: InputShape = A::SHAPE.and(B::SHAPE);

    fn decode(raw: &RawInput<'_>) -> Result<Self, Problem> {
        Ok((A::decode(raw)?, B::decode(raw)?))
    }
}

impl<A: Input, B: Input, C: Input> Input for (A, B, C) {
    const SHAPE: InputShape = A::SHAPE.and(B::SHAPE).and(C::SHAPE);

    fn decode(raw: &RawInput<'_>) -> Result<Self, Problem> {
        Ok((A::decode(raw)?, B::decode(raw)?, C::decode(raw)?))
    }
}
