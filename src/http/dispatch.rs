//! From a request to a response, whatever happens.
//!
//! The outer function cannot fail: it names the request, measures it, catches panics, turns problems
//! into responses and logs them once. The inner one only uses `?`.

mod admission;
mod body;
pub(crate) mod body_budget;
pub(crate) mod client;
pub(crate) mod client_quota;
mod compression;
pub(crate) mod cors;
mod rate_limit;
pub(crate) mod request_id;
mod response;
mod router;
mod security_headers;
mod stream;
mod time_spent;

use std::any::Any;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Version};
use metrics::Gauge;
use tracing::Instrument as _;

pub(crate) use self::response::{Answer, unread};
pub(crate) use self::stream::{Progress, ResponseBody};

use self::admission::{admit, bearer};
use self::body::BodyBounds;
use self::response::{describe_methods, fail, finish, succeed, without_body};
use self::router::{Found, Router};
use self::time_spent::TimeSpent;
use super::contract::call::{Call, CookieToken, TokenDelivery, device_cookie};
use super::contract::csrf;
use super::contract::input::RawInput;
use super::contract::problem::{Kind, Problem};
use super::contract::reply::Reply;
use super::contract::route::{Route, Tag, Work};
use super::state::AppState;
use crate::core::{Client, HashTime, Principal, RateLimitVerdicts};
use crate::model::Actor;
use crate::telemetry::names;

/// Most header fields that a request may have.
const MAX_HEADERS: usize = 100;

/// Route tables and the state behind them: all that one listener serves.
pub(crate) struct Service {
    pub(crate) state: Arc<AppState>,
    router: Router,
    in_flight: Gauge,
}

impl Service {
    pub(crate) fn new(state: Arc<AppState>, tables: &[&'static [Route]]) -> Self {
        Self {
            router: Router::new(tables, &state.settings.base_path),
            in_flight: metrics::gauge!(names::HTTP_IN_FLIGHT),
            state,
        }
    }
}

/// Counts a request as being served for as long as it lives, also when its client hangs up.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn enter(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Answers one request. Always.
pub(crate) async fn dispatch<B>(
    service: Arc<Service>,
    peer: IpAddr,
    request: Request<B>,
) -> Result<Answer, Infallible>
where
    B: Body<Data = Bytes, Error: Send> + Unpin + Send,
{
    let _in_flight = InFlight::enter(&service.in_flight);
    let (parts, body) = request.into_parts();
    let client = identify(&service.state, peer, &parts.headers);
    let (name, asked) = (client.request_id.clone(), client.verdicts.clone());
    let time = TimeSpent::begin(client.hash_time.clone());
    let found = service.router.find(parts.uri.path());
    let route = found
        .as_ref()
        .map_or("unmatched", |found| found.entry.template);
    let span = tracing::info_span!("request", request_id = %name, method = %parts.method, route);

    // Boxed, so that a connection without a request does not keep the memory that one needs.
    let served = serve(&service, &parts, body, found.as_ref(), client, &time);
    let served: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(served);
    let outcome = guard(served).instrument(span.clone()).await;
    let mut response = match outcome {
        Ok(reply) => succeed(&parts, encoded(found.as_ref(), &parts, reply).await),
        Err(problem) => span.in_scope(|| fail(&problem, &name, &asked)),
    };
    finish(&service.state, &parts, &name, &asked, &mut response);
    if let Some(found) = &found {
        describe_methods(&parts, found, &mut response);
    }
    if parts.method == Method::HEAD {
        without_body(parts.version, &mut response);
    }
    let (status, time) = (response.status(), time.parts());
    let meter = service.router.meter(found.as_ref(), &parts.method);
    meter.record(status, time.total);
    tracing::debug!(parent: &span, status = status.as_u16(), took = ?time.total, "answered");
    if time.operation() >= service.state.settings.slow_operation {
        meter.count_slow();
        span.in_scope(|| time.report(status));
    }
    Ok(response)
}

/// The reply, compressed where the client takes that and the route allows it.
async fn encoded(found: Option<&Found<'_>>, parts: &Parts, reply: Reply) -> Reply {
    match found.and_then(|found| found.entry.route(&parts.method)) {
        Some(entry) => compression::compressed(entry.route, &parts.headers, reply).await,
        None => reply,
    }
}

/// The client, as far as the transport knows it.
fn identify(state: &AppState, peer: IpAddr, headers: &HeaderMap) -> Client {
    Client {
        address: state.proxies.client_address(peer, headers),
        user_agent: client::user_agent(headers),
        request_id: state.request_ids.name(headers),
        language: client::language(headers),
        verdicts: RateLimitVerdicts::default(),
        hash_time: HashTime::default(),
        actor: Actor::Anonymous,
    }
}

/// Answers one request in time, or refuses it.
async fn serve<B>(
    service: &Service,
    parts: &Parts,
    body: B,
    found: Option<&Found<'_>>,
    client: Client,
    time: &TimeSpent,
) -> Result<Reply, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let inner = answer(service, parts, body, found, client, time);
    match tokio::time::timeout(service.state.settings.request_timeout, inner).await {
        Ok(outcome) => outcome,
        Err(_) if time.waits_for_body() => Err(Problem::new(Kind::RequestTimeout)),
        Err(_) => Err(Problem::new(Kind::TimedOut)),
    }
}

async fn answer<B>(
    service: &Service,
    parts: &Parts,
    body: B,
    found: Option<&Found<'_>>,
    mut client: Client,
    time: &TimeSpent,
) -> Result<Reply, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (state, headers) = (&service.state, &parts.headers);
    check_head(parts, state.settings.max_header_bytes)?;
    let found = found.ok_or_else(|| Problem::new(Kind::NotFound))?;
    if parts.method == Method::OPTIONS {
        return Ok(Reply::empty());
    }
    let entry = found.entry.route(&parts.method);
    let route = entry
        .ok_or_else(|| Problem::new(Kind::MethodNotAllowed))?
        .route;
    let token = bearer(headers);
    let principal = admit(state, route, &client, headers, token).await?;
    client.actor = principal.as_ref().map_or(client.actor, Principal::actor);
    let longest = route.body_bound.unwrap_or(state.settings.max_body_bytes);
    let needed = body::expected(route.handler.input.body, headers, &body, longest);
    let reservation = needed.map(|bytes| state.bodies.reserve(client.address, bytes));
    let mut reservation = reservation.transpose()?;
    time.body_begins();
    let bounds = BodyBounds::of(&state.settings, longest);
    let body = body::read(route.handler.input.body, headers, body, bounds).await?;
    time.body_ends();
    if let Some(reservation) = &mut reservation {
        reservation.shrink(body.len());
    }
    let (cookie, device) = cookies_for(state, route, parts);
    let call = Call {
        bearer: token.filter(|_| principal.is_none()).map(str::to_owned),
        cookie,
        device,
        host: host_for(route, parts),
        accept: headers.get(header::ACCEPT).cloned(),
        delivery: TokenDelivery::asked(headers),
        state: Arc::clone(state),
        client,
        principal,
        _reservation: reservation,
    };
    let work = {
        let raw = RawInput {
            path: found.parameters,
            query: parts.uri.query().unwrap_or_default(),
            body: &body,
        };
        (route.handler.start)(call, &raw)?
    };
    drop(body);
    run(state, route, work).await
}

/// The host that the client asked, where the route looks at it.
fn host_for(route: &Route, parts: &Parts) -> Option<String> {
    let asked = route.tag == Tag::Dev;
    let host = asked.then(|| csrf::host(&parts.headers, &parts.uri));
    host.flatten().map(str::to_owned)
}

/// The refresh cookie and the cookie of a trusted device, where the route takes them.
fn cookies_for(
    state: &AppState,
    route: &Route,
    parts: &Parts,
) -> (Option<CookieToken>, Option<String>) {
    let headers = &parts.headers;
    let host = csrf::host(headers, &parts.uri);
    let cookie =
        (route.cookie || route.replaces_session).then(|| CookieToken::read(state, headers, host));
    let device = route.device.then(|| device_cookie(state, headers, host));
    (cookie.flatten(), device.flatten())
}

/// Refuses requests that HTTP itself does not allow, or whose headers are too much.
fn check_head(parts: &Parts, max_bytes: usize) -> Result<(), Problem> {
    let target = parts.uri.path().len() + parts.uri.query().map_or(0, str::len);
    // Four bytes for ": " and the end of the line, as on the wire of HTTP/1.
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    let bytes = target + parts.headers.iter().map(size).sum::<usize>();
    if bytes > max_bytes || parts.headers.len() > MAX_HEADERS {
        return Err(Problem::new(Kind::HeadersTooLarge));
    }
    let hosts = parts.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(Problem::detailed(
            Kind::MalformedRequest,
            "A request must name its host once",
        ));
    }
    Ok(())
}

/// Runs the handler. One that may change something runs on its own, so that it finishes even when the
/// client hangs up or the time is over.
async fn run(state: &AppState, route: &Route, work: Work) -> Result<Reply, Problem> {
    if route.verb.is_safe() {
        return work.await;
    }
    let span = tracing::Span::current();
    let task = state.tasks.spawn(guard(work).instrument(span));
    match task.await {
        Ok(outcome) => outcome,
        Err(error) => Err(Problem::caused(Kind::Internal, error.to_string())),
    }
}

/// Turns a panic into a problem.
async fn guard(work: impl Future<Output = Result<Reply, Problem>>) -> Result<Reply, Problem> {
    let mut work = pin!(work);
    let outcome = poll_fn(|context| {
        // A future that panicked is dropped and never polled again.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    outcome.await.unwrap_or_else(|panic| {
        metrics::counter!(names::PANICS, "place" => "handler").increment(1);
        let source = format!("panic: {}", words(panic.as_ref()));
        Err(Problem::caused(Kind::Internal, source))
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no words)")
}

#[cfg(test)]
mod tests;
