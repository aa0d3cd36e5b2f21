//! Finds the routes of a path: exact paths by hash, templates (`/x/:id`) by segment. Carries the metric handles of
//! each route, so that measuring allocates nothing.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use metrics::{Counter, Histogram};

use crate::http::contract::input::PathValues;
use crate::http::contract::route::{Route, Verb};
use crate::telemetry::names;

/// The statuses that responses are counted by: classes, and two that operators watch by themselves, since they may
/// be an attack.
const STATUSES: [&str; 6] = ["2xx", "3xx", "4xx", "5xx", "401", "403"];

/// Index of a status in [`STATUSES`].
fn index_of(status: StatusCode) -> usize {
    match status.as_u16() {
        401 => 4,
        403 => 5,
        other => usize::from(other / 100).clamp(2, 5) - 2,
    }
}

/// Counts and times the responses of one route. A series begins with its first response, so that what
/// never happens fills no page.
pub(crate) struct Meter {
    route: &'static str,
    method: &'static str,
    by_status: [OnceLock<Counter>; STATUSES.len()],
    duration: OnceLock<Histogram>,
}

impl Meter {
    fn new(route: &'static str, method: &'static str) -> Self {
        Self {
            route,
            method,
            by_status: Default::default(),
            duration: OnceLock::new(),
        }
    }

    /// Counts one request that was slow.
    pub(crate) fn count_slow(&self) {
        let (route, method) = (self.route, self.method);
        metrics::counter!(names::HTTP_SLOW, "route" => route, "method" => method).increment(1);
    }

    /// Remembers one response.
    pub(crate) fn record(&self, status: StatusCode, took: Duration) {
        let (route, method) = (self.route, self.method);
        let index = index_of(status);
        let count = || metrics::counter!(names::HTTP_REQUESTS, "route" => route, "method" => method, "status" => STATUSES[index]);
        let time =
            || metrics::histogram!(names::HTTP_DURATION, "route" => route, "method" => method);
        self.by_status[index].get_or_init(count).increment(1);
        self.duration.get_or_init(time).record(took.as_secs_f64());
    }
}

/// A route and its meter.
pub(crate) struct RouteEntry {
    pub(crate) route: &'static Route,
    meter: Meter,
}

/// All routes of one path.
pub(crate) struct PathEntry {
    /// The path as it stands in the table.
    pub(crate) template: &'static str,
    /// Value of `Allow`.
    pub(crate) allow: HeaderValue,
    routes: Vec<RouteEntry>,
    other_methods: Meter,
}

impl PathEntry {
    /// The route for `method`.
    pub(crate) fn route(&self, method: &Method) -> Option<&RouteEntry> {
        let verb = Verb::of(method)?;
        self.routes.iter().find(|entry| entry.route.verb == verb)
    }
}

/// A path that was found.
pub(crate) struct Found<'a> {
    pub(crate) entry: &'a PathEntry,
    /// Values of the template's parameters, in order.
    pub(crate) parameters: PathValues<'a>,
}

/// The route table, ready to be searched.
pub(crate) struct Router {
    base_path: String,
    exact: HashMap<&'static str, PathEntry>,
    templates: Vec<PathEntry>,
    unmatched: Meter,
}

impl Router {
    /// Of route tables. Every route answers with `base_path` before it and without.
    pub(crate) fn new(tables: &[&'static [Route]], base_path: &str) -> Self {
        let (mut exact, mut templates) = (HashMap::new(), Vec::new());
        for entry in entries(tables) {
            if entry.template.contains("/:") {
                templates.push(entry);
            } else {
                exact.insert(entry.template, entry);
            }
        }
        Self {
            base_path: base_path.trim_end_matches('/').to_owned(),
            exact,
            templates,
            unmatched: Meter::new("unmatched", "OTHER"),
        }
    }

    /// Finds a path. A trailing slash is another path.
    pub(crate) fn find<'a>(&'a self, path: &'a str) -> Option<Found<'a>> {
        let inner = path.strip_prefix(self.base_path.as_str());
        let path = inner.filter(|rest| rest.starts_with('/')).unwrap_or(path);
        if let Some(entry) = self.exact.get(path) {
            let parameters = PathValues::default();
            return Some(Found { entry, parameters });
        }
        self.templates.iter().find_map(|entry| {
            let parameters = fit(entry.template, path)?;
            Some(Found { entry, parameters })
        })
    }

    /// The meter for what was found.
    pub(crate) fn meter<'a>(&'a self, found: Option<&Found<'a>>, method: &Method) -> &'a Meter {
        let Some(found) = found else {
            return &self.unmatched;
        };
        let entry = found.entry.route(method);
        entry.map_or(&found.entry.other_methods, |entry| &entry.meter)
    }
}

/// One entry for each path, in the order of the tables.
fn entries(tables: &[&'static [Route]]) -> Vec<PathEntry> {
    let mut entries: Vec<PathEntry> = Vec::new();
    for route in tables.iter().copied().flatten() {
        let entry = RouteEntry {
            route,
            meter: Meter::new(route.path, route.verb.name()),
        };
        match entries
            .iter_mut()
            .find(|known| known.template == route.path)
        {
            Some(known) => known.routes.push(entry),
            None => entries.push(PathEntry {
                template: route.path,
                allow: HeaderValue::from_static(""),
                routes: vec![entry],
                other_methods: Meter::new(route.path, "OTHER"),
            }),
        }
    }
    for entry in &mut entries {
        entry.allow = allow(&entry.routes);
    }
    entries
}

fn allow(routes: &[RouteEntry]) -> HeaderValue {
    let verbs = routes.iter().map(|entry| entry.route.verb.name());
    let mut methods: Vec<&str> = verbs.collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    HeaderValue::try_from(methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

/// The values of the template's parameters when `path` fits it. No value is empty.
fn fit<'a>(template: &str, path: &'a str) -> Option<PathValues<'a>> {
    let mut parameters = PathValues::default();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(wanted), Some(given)) if wanted.starts_with(':') && !given.is_empty() => {
                parameters.push(given)?;
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::contract::call::Call;
    use crate::http::contract::input::{Path, handler};
    use crate::http::contract::problem::Problem;
    use crate::http::contract::reply::Reply;
    use crate::model::DeviceId;

    async fn none(_: Call, (): ()) -> Result<Reply, Problem> {
        Ok(Reply::empty())
    }

    async fn one(_: Call, Path(_): Path<DeviceId>) -> Result<Reply, Problem> {
        Ok(Reply::empty())
    }

    async fn two(_: Call, Path(_): Path<(DeviceId, DeviceId)>) -> Result<Reply, Problem> {
        Ok(Reply::empty())
    }

    const ROUTES: &[Route] = &[
        Route::get("/a", handler!(none)),
        Route::post("/a", handler!(none)),
        Route::get("/a/list", handler!(none)),
        Route::delete("/a/:id", handler!(one)),
        Route::post("/a/:id/b/:other", handler!(two)),
    ];

    fn found(path: &str) -> Option<(&'static str, Vec<String>)> {
        let router = Router::new(&[ROUTES], "/api");
        let found = router.find(path)?;
        let parameters = found.parameters.as_slice().iter();
        let parameters = parameters.map(|value| (*value).to_owned()).collect();
        Some((found.entry.template, parameters))
    }

    #[test]
    fn refusals_of_callers_are_counted_apart_from_their_class() {
        let counted = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            STATUSES[index_of(status)]
        };
        let statuses = [200, 204, 304, 400, 401, 403, 404, 429, 500, 503];
        assert_eq!(
            statuses.map(counted),
            [
                "2xx", "2xx", "3xx", "4xx", "401", "403", "4xx", "4xx", "5xx", "5xx"
            ]
        );
    }

    #[test]
    fn a_path_is_found_with_and_without_the_base_path() {
        for path in ["/a", "/api/a"] {
            assert_eq!(found(path), Some(("/a", vec![])), "{path}");
        }
        let two = vec!["1".to_owned(), "2".to_owned()];
        assert_eq!(found("/api/a/1/b/2"), Some(("/a/:id/b/:other", two)));
    }

    #[test]
    fn an_exact_path_goes_before_a_template() {
        assert_eq!(found("/a/list"), Some(("/a/list", vec![])));
        assert_eq!(
            found("/a/lists"),
            Some(("/a/:id", vec!["lists".to_owned()]))
        );
    }

    #[test]
    fn anything_else_is_not_found() {
        for path in [
            "",
            "/",
            "/A",
            "/a/",
            "//a",
            "/api",
            "/api/",
            "/apia",
            "/api/api/a",
            "/a//b/2",
            "/a/1/b",
            "/a/1/b/",
            "/a/1/b/2/",
            "/a/1/c/2",
            "a",
            "*",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_knows_its_methods() {
        let router = Router::new(&[ROUTES], "");
        let found = router.find("/a").expect("is there");
        assert_eq!(found.entry.allow, "GET, POST, HEAD, OPTIONS");
        assert!(found.entry.route(&Method::HEAD).is_some());
        assert!(found.entry.route(&Method::DELETE).is_none());
        assert!(found.entry.route(&Method::TRACE).is_none());
    }
}
