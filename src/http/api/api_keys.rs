//! API keys: `GET` and `POST /api-keys`, `GET`, `PATCH` and `DELETE /api-keys/:id`, rotation, revocation and usage of
//! one, and `POST /api-keys/report`.

use std::ops::RangeInclusive;
use std::time::Duration;

use hyper::StatusCode;
use serde::de::{Deserializer, Error as _, Unexpected};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::contract::access::Access;
use crate::http::contract::input::Query;
use crate::http::contract::prelude::*;
use crate::http::contract::text::{Bounded, ReportedKey};
use crate::model::{ApiKeyId, ApiKeyUsage, KeyRefusals, Timestamp};
use crate::platform::api_key::{self, KeyChange, KeyView, MadeKey, WantedKey, Wish};

pub(crate) const ROUTES: &[Route] = &[
    Route::post("/api-keys", handler!(create))
        .titled(Tag::ApiKeys, "createApiKey", "Make an API key")
        .described(
            "`apiKey` is shown this once. Answered only when PostgreSQL has the key: after \
             `outcome_unknown` it may be listed, and nobody has its text.",
        )
        .open_to(RecentUser)
        .gives::<ApiKeyData>(201)
        .refuses(&[Kind::ApiKeyLimit]),
    Route::get("/api-keys", handler!(list))
        .titled(
            Tag::ApiKeys,
            "listApiKeys",
            "The caller's API keys, newest first",
        )
        .described("Revoked and expired ones included, until they are deleted.")
        .gives::<ApiKeyList>(200),
    Route::get("/api-keys/:id", handler!(find))
        .titled(Tag::ApiKeys, "findApiKey", "One API key")
        .described("The same as its row of `GET /api-keys`.")
        .gives::<ApiKeyData>(200),
    Route::patch("/api-keys/:id", handler!(change))
        .titled(Tag::ApiKeys, "changeApiKey", "Change an API key")
        .described(
            "Members that are absent stay as they are; `null` takes an end or a limit away. What \
             is taken away is refused from the answer on, by every instance.",
        )
        .open_to(RecentUser)
        .gives::<ApiKeyData>(200)
        .refuses(&[Kind::ApiKeyRevoked]),
    Route::delete("/api-keys/:id", handler!(delete))
        .titled(
            Tag::ApiKeys,
            "deleteApiKey",
            "Revoke an API key, and list it no more",
        )
        .described("It is refused from the answer on, by every instance."),
    Route::post("/api-keys/:id/rotate", handler!(rotate))
        .titled(
            Tag::ApiKeys,
            "rotateApiKey",
            "Give an API key another secret",
        )
        .described(
            "The new text is shown this once. The one before is good for `overlapSeconds` more, \
             or ends at once. Of two rotations at the same time one is refused.",
        )
        .open_to(RecentUser)
        .gives::<ApiKeyData>(200)
        .refuses(&[Kind::ApiKeyRevoked, Kind::ApiKeyChanged]),
    Route::post("/api-keys/:id/revoke", handler!(revoke))
        .titled(Tag::ApiKeys, "revokeApiKey", "End an API key")
        .described("It is refused from the answer on, by every instance, and still listed."),
    Route::get("/api-keys/:id/usage", handler!(usage))
        .titled(
            Tag::ApiKeys,
            "apiKeyUsage",
            "Requests by an API key, day by day",
        )
        .described("Counts come a few seconds late. Days (UTC) without a request are left out.")
        .gives::<ApiKeyUsageData>(200),
    Route::post("/api-keys/report", handler!(report))
        .titled(Tag::ApiKeys, "reportApiKey", "Report a leaked API key")
        .described(
            "For whoever finds one. A key that is good ends at once, and its owner is told; the \
             one before a rotation ends alone.",
        )
        .open_to(Access::Public)
        .gives::<ReportedData>(200),
];

/// A name of a key: longer ones are refused by the rules of names.
type KeyName = Bounded<1024>;

/// A key that somebody wants.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreateApiKeyBody {
    /// For its owner alone.
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "Build server")]
    name: KeyName,
    #[schema(min_items = 1, example = json!(["user:read", "2fa:read"]))]
    scopes: Vec<String>,
    /// Addresses and networks that may use it; all where there is none.
    #[serde(default)]
    #[schema(max_items = 32, example = json!(["192.0.2.0/24"]))]
    allowed_ips: Vec<String>,
    /// Most requests in an hour.
    #[schema(minimum = 1, maximum = 1_000_000, example = 1000)]
    rate_limit: Option<u32>,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-01T00:00:00Z")]
    expires_at: Option<Timestamp>,
}

/// A change of a key. Absent members stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChangeApiKeyBody {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "Build server")]
    name: Option<KeyName>,
    #[schema(min_items = 1, example = json!(["user:read"]))]
    scopes: Option<Vec<String>>,
    /// Addresses and networks that may use it; all where there is none.
    #[schema(max_items = 32, example = json!(["192.0.2.0/24"]))]
    allowed_ips: Option<Vec<String>>,
    /// Most requests in an hour; null: as many as the service allows.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000, example = 1000)]
    rate_limit: Wish<u32>,
    /// When it ends by itself; null: never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-01T00:00:00Z")]
    expires_at: Wish<Timestamp>,
}

/// Tells `null` from a member that is absent.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Wish<T>, D::Error> {
    let given = Option::deserialize(deserializer)?;
    Ok(given.map_or(Wish::Remove, Wish::Set))
}

/// Longest overlap of a rotation, in seconds.
const MOST_OVERLAP: u32 = 86_400;
/// Most days of usage in one answer.
const MOST_DAYS: u16 = 90;

/// Parameters of a rotation.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RotateApiKeyBody {
    /// Seconds for which the text before stays good.
    #[serde(default, deserialize_with = "overlap")]
    #[schema(minimum = 0, maximum = 86_400, example = 3600)]
    overlap_seconds: u32,
}

fn overlap<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, 0..=MOST_OVERLAP)
}

/// Part of the usage.
#[derive(Deserialize, ToSchema)]
struct UsageQuery {
    /// How many days, today included.
    #[serde(default = "a_month", deserialize_with = "days")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 90, example = 30)]
    days: u16,
}

const fn a_month() -> u16 {
    30
}

fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    bounded(deserializer, 1..=MOST_DAYS)
}

/// A number within bounds.
fn bounded<'de, T, D>(deserializer: D, bounds: RangeInclusive<T>) -> Result<T, D::Error>
where
    T: Deserialize<'de> + PartialOrd + std::fmt::Display,
    D: Deserializer<'de>,
{
    let number = T::deserialize(deserializer).ok();
    let number = number.filter(|number| bounds.contains(number));
    let allowed = format!("a number from {} to {}", bounds.start(), bounds.end());
    number.ok_or_else(|| D::Error::invalid_value(Unexpected::Other("another"), &allowed.as_str()))
}

/// A key that somebody found.
#[derive(Deserialize, ToSchema)]
struct ReportApiKeyBody {
    /// Its whole text.
    #[schema(value_type = String, max_length = 512, example = "pk_live_…")]
    key: ReportedKey,
}

/// The caller's API keys.
#[derive(Serialize, ToSchema)]
struct ApiKeyList<'a>(Vec<ApiKeyData<'a>>);

/// An API key as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ApiKeyData<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: ApiKeyId,
    #[schema(example = "Build server")]
    name: &'a str,
    /// Its whole text, when it was just made or rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^pk_(live|test)_[0-9A-Za-z]{70}$")]
    api_key: Option<&'a str>,
    /// Beginning of its text.
    #[schema(example = "pk_live_0q5Zk2Xb")]
    key_prefix: &'a str,
    #[schema(example = json!(["user:read", "2fa:read"]))]
    scopes: &'a [String],
    /// Addresses and networks that may use it; all where there is none.
    #[schema(example = json!(["192.0.2.0/24"]))]
    allowed_ips: Vec<String>,
    /// Most requests in an hour.
    #[schema(example = 1000)]
    rate_limit: u32,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last used, up to a few seconds late.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// Until when the text before the last rotation is good.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_until: Option<Timestamp>,
}

impl<'a> ApiKeyData<'a> {
    fn of(view: &'a KeyView, text: Option<&'a str>) -> Self {
        let key = &view.key;
        Self {
            id: key.id,
            name: &key.name,
            api_key: text,
            key_prefix: &key.key_prefix,
            scopes: &key.scopes,
            allowed_ips: key.allowed_ips.iter().map(ToString::to_string).collect(),
            rate_limit: view.rate_limit,
            expires_at: key.expires_at,
            created_at: key.created_at,
            last_used_at: view.last_used_at,
            revoked_at: key.revoked_at,
            previous_until: key.previous_until,
        }
    }

    fn made(made: &'a MadeKey) -> Self {
        Self::of(&made.view, Some(&made.text))
    }
}

/// Requests by one key.
#[derive(Serialize, ToSchema)]
struct ApiKeyUsageData {
    /// The newest first.
    days: Vec<ApiKeyDay>,
}

/// Requests by one key on one day.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ApiKeyDay {
    #[schema(format = Date, example = "2027-01-15")]
    day: String,
    /// All that showed a secret of the key, refused ones included.
    requests: u64,
    refused: RefusedRequests,
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    #[schema(value_type = String, example = "192.0.2.7")]
    last_address: std::net::IpAddr,
}

/// Refused requests by reason.
#[derive(Serialize, ToSchema)]
struct RefusedRequests {
    /// The key was revoked or had expired.
    ended: u64,
    /// The account was disabled, or owed a second factor.
    owner: u64,
    /// The address is not one of `allowedIps`.
    address: u64,
    /// The key has not the scope, or the route takes no keys.
    scope: u64,
    /// Beyond `rateLimit`.
    limit: u64,
}

impl From<&ApiKeyUsage> for ApiKeyDay {
    fn from(usage: &ApiKeyUsage) -> Self {
        let KeyRefusals {
            ended,
            owner,
            address,
            scope,
            limit,
        } = usage.refused;
        Self {
            day: usage.date(),
            requests: usage.requests,
            refused: RefusedRequests {
                ended,
                owner,
                address,
                scope,
                limit,
            },
            last_used_at: usage.last_used_at,
            last_address: usage.last_address,
        }
    }
}

/// Outcome of a report.
#[derive(Serialize, ToSchema)]
struct ReportedData {
    /// Whether it is a key, which has ended now.
    revoked: bool,
}

async fn create(call: Call, Json(body): Json<CreateApiKeyBody>) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let wanted = WantedKey {
        name: body.name.into_string(),
        scopes: body.scopes,
        allowed_ips: body.allowed_ips,
        rate_limit: body.rate_limit,
        expires_at: body.expires_at,
    };
    let made = api_key::create(core, &call.client, caller, wanted).await?;
    let reply = Reply::ok("API key made", ApiKeyData::made(&made))?;
    Ok(reply.status(StatusCode::CREATED))
}

async fn list(call: Call, (): ()) -> Result<Reply, Problem> {
    let keys = api_key::list(call.core()?, call.caller()?).await?;
    let keys = keys.iter().map(|key| ApiKeyData::of(key, None)).collect();
    Reply::ok("Your API keys", ApiKeyList(keys))
}

async fn find(call: Call, Path(id): Path<ApiKeyId>) -> Result<Reply, Problem> {
    let key = api_key::find(call.core()?, call.caller()?, id).await?;
    Reply::ok("Your API key", ApiKeyData::of(&key, None))
}

async fn change(
    call: Call,
    (Path(id), Json(body)): (Path<ApiKeyId>, Json<ChangeApiKeyBody>),
) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let change = KeyChange {
        name: body.name.map(KeyName::into_string),
        scopes: body.scopes,
        allowed_ips: body.allowed_ips,
        rate_limit: body.rate_limit,
        expires_at: body.expires_at,
    };
    let key = api_key::change(core, &call.client, caller, id, change).await?;
    Reply::ok("API key changed", ApiKeyData::of(&key, None))
}

async fn delete(call: Call, Path(id): Path<ApiKeyId>) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let durability = api_key::delete(core, &call.client, caller, id).await?;
    Ok(Reply::done("API key deleted")?.durability(durability))
}

async fn rotate(
    call: Call,
    (Path(id), OptionalJson(body)): (Path<ApiKeyId>, OptionalJson<RotateApiKeyBody>),
) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let overlap = Duration::from_secs(body.overlap_seconds.into());
    let made = api_key::rotate(core, &call.client, caller, id, overlap).await?;
    Reply::ok("API key rotated", ApiKeyData::made(&made))
}

async fn revoke(call: Call, Path(id): Path<ApiKeyId>) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let durability = api_key::revoke(core, &call.client, caller, id).await?;
    Ok(Reply::done("API key revoked")?.durability(durability))
}

async fn usage(
    call: Call,
    (Path(id), Query(query)): (Path<ApiKeyId>, Query<UsageQuery>),
) -> Result<Reply, Problem> {
    let days = api_key::usage(call.core()?, call.caller()?, id, query.days).await?;
    let days = days.iter().map(Into::into).collect();
    Reply::ok("Usage of your API key", ApiKeyUsageData { days })
}

async fn report(call: Call, Json(body): Json<ReportApiKeyBody>) -> Result<Reply, Problem> {
    let text = body.key.as_str();
    let (revoked, durability) = api_key::report(call.core()?, &call.client, text).await?;
    let reply = Reply::ok("Thank you", ReportedData { revoked })?;
    Ok(reply.durability(durability))
}
