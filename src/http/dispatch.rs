//! From a request to a response, whatever happens.
//!
//! The outer function cannot fail: it names the request, measures it, catches panics, turns problems
//! into responses and logs them once. The inner one only uses `?`.

use std::any::Any;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Version};
use metrics::Gauge;
use tracing::Instrument as _;

use super::admission::{admit, bearer};
use super::call::{Call, CookieToken, Delivery, device_cookie};
use super::house::House;
use super::problem::{Kind, Problem};
use super::reply::Reply;
use super::response::{Answer, describe_methods, fail, finish, succeed};
use super::route::{Route, Work};
use super::router::{Found, Router};
use super::{body, client, csrf};
use crate::auth::{Asked, Client};
use crate::clock::Stopwatch;
use crate::telemetry::names;

/// Most header fields that a request may have.
const MAX_HEADERS: usize = 100;

/// Route tables and the house behind them: what one listener serves.
pub(super) struct Site {
    pub(super) house: Arc<House>,
    router: Router,
    in_flight: Gauge,
}

impl Site {
    pub(super) fn new(house: Arc<House>, tables: &[&'static [Route]]) -> Self {
        Self {
            router: Router::new(tables, &house.settings.base_path),
            in_flight: metrics::gauge!(names::HTTP_IN_FLIGHT),
            house,
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
pub(super) async fn dispatch<B>(
    site: Arc<Site>,
    peer: IpAddr,
    request: Request<B>,
) -> Result<Answer, Infallible>
where
    B: Body<Data = Bytes, Error: Send> + Unpin + Send,
{
    let watch = Stopwatch::start();
    let _in_flight = InFlight::enter(&site.in_flight);
    let (parts, body) = request.into_parts();
    let client = identify(&site.house, peer, &parts.headers);
    let (name, asked) = (client.request_id.clone(), client.verdicts.clone());
    let found = site.router.find(parts.uri.path());
    let route = found
        .as_ref()
        .map_or("unmatched", |found| found.node.template);
    let span = tracing::info_span!("request", request_id = %name, method = %parts.method, route);

    // Boxed, so that a connection without a request does not keep the room that one needs.
    let served = serve(&site, &parts, body, found.as_ref(), client);
    let served: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(served);
    let outcome = guard(served).instrument(span.clone()).await;
    let mut response = match outcome {
        Ok(reply) => succeed(reply),
        Err(problem) => span.in_scope(|| fail(&problem, &name, &asked)),
    };
    finish(&site.house, &parts, &name, &asked, &mut response);
    if let Some(found) = &found {
        describe_methods(&parts, found, &mut response);
    }
    let took = watch.elapsed();
    let meter = site.router.meter(found.as_ref(), &parts.method);
    meter.record(response.status(), took);
    tracing::debug!(parent: &span, status = response.status().as_u16(), took = ?took, "answered");
    Ok(response)
}

/// Who calls, as far as the transport knows.
fn identify(house: &House, peer: IpAddr, headers: &HeaderMap) -> Client {
    Client {
        address: house.proxies.client_address(peer, headers),
        user_agent: client::user_agent(headers),
        request_id: house.request_ids.name(headers),
        language: client::language(headers),
        verdicts: Asked::default(),
    }
}

/// The way of one request, in time or not at all.
async fn serve<B>(
    site: &Site,
    parts: &Parts,
    body: B,
    found: Option<&Found<'_>>,
    client: Client,
) -> Result<Reply, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let arriving = AtomicBool::new(false);
    let inner = answer(site, parts, body, found, client, &arriving);
    match tokio::time::timeout(site.house.settings.request_timeout, inner).await {
        Ok(outcome) => outcome,
        Err(_) if arriving.load(Ordering::Relaxed) => Err(Problem::new(Kind::RequestTimeout)),
        Err(_) => Err(Problem::new(Kind::TimedOut)),
    }
}

async fn answer<B>(
    site: &Site,
    parts: &Parts,
    body: B,
    found: Option<&Found<'_>>,
    client: Client,
    arriving: &AtomicBool,
) -> Result<Reply, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (house, headers) = (&site.house, &parts.headers);
    check_head(parts, house.settings.max_header_bytes)?;
    let found = found.ok_or_else(|| Problem::new(Kind::NotFound))?;
    if parts.method == Method::OPTIONS {
        return Ok(Reply::empty());
    }
    let line = found.node.line(&parts.method);
    let route = line
        .ok_or_else(|| Problem::new(Kind::MethodNotAllowed))?
        .route;
    let token = bearer(headers);
    let caller = admit(house, route, &client, token).await?;
    let longest = house.settings.max_body_bytes;
    let room = body::expected(route.body, headers, &body, longest);
    let room = room.map(|bytes| house.bodies.reserve(client.address, bytes));
    let mut room = room.transpose()?;
    arriving.store(true, Ordering::Relaxed);
    let body = body::read(route.body, headers, body, longest).await?;
    arriving.store(false, Ordering::Relaxed);
    if let Some(room) = &mut room {
        room.shrink(body.len());
    }
    let host = csrf::host(headers, &parts.uri);
    let call = Call {
        bearer: token.filter(|_| caller.is_none()).map(str::to_owned),
        cookie: route
            .cookie
            .then(|| CookieToken::read(house, headers, host))
            .flatten(),
        device: route
            .device
            .then(|| device_cookie(house, headers, host))
            .flatten(),
        accept: headers.get(header::ACCEPT).cloned(),
        delivery: Delivery::asked(headers),
        parameters: found.parameters.clone(),
        house: Arc::clone(house),
        client,
        caller,
        body,
        _room: room,
    };
    run(house, route, call).await
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
async fn run(house: &House, route: &Route, call: Call) -> Result<Reply, Problem> {
    let work: Work = (route.handler)(call);
    if route.verb.is_safe() {
        return work.await;
    }
    let span = tracing::Span::current();
    let task = house.tasks.spawn(guard(work).instrument(span));
    match task.await {
        Ok(outcome) => outcome,
        Err(error) => Err(Problem::caused(Kind::Internal, error.to_string())),
    }
}

/// Turns a panic into a problem.
async fn guard(work: impl Future<Output = Result<Reply, Problem>>) -> Result<Reply, Problem> {
    let mut work = pin!(work);
    let outcome = poll_fn(|context| {
        // What panicked is dropped and never looked at again.
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
