//! Finds the line of the route table for a path: exact paths by hash, templates (`/x/:id`) by segment.
//! Carries the metric handles of each line, so that measuring allocates nothing.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use metrics::{Counter, Histogram};

use super::route::{Route, Verb};
use crate::telemetry::names;

/// The classes of statuses that a response can have here.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Counts and times the responses of one line. A series begins with its first response, so that what
/// never happens fills no page.
pub(super) struct Meter {
    route: &'static str,
    method: &'static str,
    by_class: [OnceLock<Counter>; CLASSES.len()],
    duration: OnceLock<Histogram>,
}

impl Meter {
    fn new(route: &'static str, method: &'static str) -> Self {
        Self {
            route,
            method,
            by_class: Default::default(),
            duration: OnceLock::new(),
        }
    }

    /// Remembers one response.
    pub(super) fn record(&self, status: StatusCode, took: Duration) {
        let (route, method) = (self.route, self.method);
        let class = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        let count = || metrics::counter!(names::HTTP_REQUESTS, "route" => route, "method" => method, "status" => CLASSES[class]);
        let time =
            || metrics::histogram!(names::HTTP_DURATION, "route" => route, "method" => method);
        self.by_class[class].get_or_init(count).increment(1);
        self.duration.get_or_init(time).record(took.as_secs_f64());
    }
}

/// A line and its meter.
pub(super) struct Line {
    pub(super) route: &'static Route,
    meter: Meter,
}

/// All lines of one path.
pub(super) struct Node {
    /// The path as it stands in the table.
    pub(super) template: &'static str,
    /// Value of `Allow`.
    pub(super) allow: HeaderValue,
    lines: Vec<Line>,
    other_methods: Meter,
}

impl Node {
    /// The line for `method`.
    pub(super) fn line(&self, method: &Method) -> Option<&Line> {
        let verb = Verb::of(method)?;
        self.lines.iter().find(|line| line.route.verb == verb)
    }
}

/// Where a path leads.
pub(super) struct Found<'a> {
    pub(super) node: &'a Node,
    /// Values of the template's parameters, in order.
    pub(super) parameters: Vec<String>,
}

/// The route table, ready to be searched.
pub(super) struct Router {
    base_path: String,
    exact: HashMap<&'static str, Node>,
    templates: Vec<Node>,
    unmatched: Meter,
}

impl Router {
    /// Of route tables. Every route answers with `base_path` before it and without.
    pub(super) fn new(tables: &[&'static [Route]], base_path: &str) -> Self {
        let (mut exact, mut templates) = (HashMap::new(), Vec::new());
        for node in nodes(tables) {
            if node.template.contains("/:") {
                templates.push(node);
            } else {
                exact.insert(node.template, node);
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
    pub(super) fn find(&self, path: &str) -> Option<Found<'_>> {
        let inner = path.strip_prefix(self.base_path.as_str());
        let path = inner.filter(|rest| rest.starts_with('/')).unwrap_or(path);
        if let Some(node) = self.exact.get(path) {
            let parameters = Vec::new();
            return Some(Found { node, parameters });
        }
        self.templates.iter().find_map(|node| {
            let parameters = fit(node.template, path)?;
            Some(Found { node, parameters })
        })
    }

    /// The meter for what was found.
    pub(super) fn meter<'a>(&'a self, found: Option<&Found<'a>>, method: &Method) -> &'a Meter {
        let Some(found) = found else {
            return &self.unmatched;
        };
        let line = found.node.line(method);
        line.map_or(&found.node.other_methods, |line| &line.meter)
    }
}

/// One node for each path, in the order of the tables.
fn nodes(tables: &[&'static [Route]]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for route in tables.iter().copied().flatten() {
        let line = Line {
            route,
            meter: Meter::new(route.path, route.verb.name()),
        };
        match nodes.iter_mut().find(|node| node.template == route.path) {
            Some(node) => node.lines.push(line),
            None => nodes.push(Node {
                template: route.path,
                allow: HeaderValue::from_static(""),
                lines: vec![line],
                other_methods: Meter::new(route.path, "OTHER"),
            }),
        }
    }
    for node in &mut nodes {
        node.allow = allow(&node.lines);
    }
    nodes
}

fn allow(lines: &[Line]) -> HeaderValue {
    let mut methods: Vec<&str> = lines.iter().map(|line| line.route.verb.name()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    HeaderValue::try_from(methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

/// The values of the template's parameters when `path` fits it. No value is empty.
fn fit(template: &str, path: &str) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(wanted), Some(given)) if wanted.starts_with(':') && !given.is_empty() => {
                parameters.push(given.to_owned());
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply::Reply;
    use crate::http::route::Work;

    fn nothing(_: crate::http::call::Call) -> Work {
        Box::pin(async { Ok(Reply::empty()) })
    }

    const ROUTES: &[Route] = &[
        Route::get("/a", nothing),
        Route::post("/a", nothing),
        Route::get("/a/list", nothing),
        Route::delete("/a/:id", nothing),
        Route::post("/a/:id/b/:other", nothing),
    ];

    fn found(path: &str) -> Option<(&'static str, Vec<String>)> {
        let router = Router::new(&[ROUTES], "/api");
        let found = router.find(path);
        found.map(|found| (found.node.template, found.parameters))
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
    fn a_node_knows_its_methods() {
        let router = Router::new(&[ROUTES], "");
        let found = router.find("/a").expect("is there");
        assert_eq!(found.node.allow, "GET, POST, HEAD, OPTIONS");
        assert!(found.node.line(&Method::HEAD).is_some());
        assert!(found.node.line(&Method::DELETE).is_none());
        assert!(found.node.line(&Method::TRACE).is_none());
    }
}
