//! Two instances behind an nginx that keeps connections to them open.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sallyport::clock;
use sallyport::config;
use sallyport::dev::{ThrowawayFolder, free_port};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::harness::store_servers::own_folder;
use crate::harness::{Anonymous, Kind, Options, TestServer, TestStores, eventually};

const RESTARTS: usize = 8;
const CLIENTS: usize = 16;

/// An nginx in front of two ports, which ends with the test.
struct Nginx {
    address: SocketAddr,
    _child: Child,
    _folder: ThrowawayFolder,
}

impl Nginx {
    async fn before(ports: [u16; 2]) -> Self {
        let folder = own_folder();
        let address = local(free_port());
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration(ports, address)).unwrap();
        let child = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .kill_on_drop(true)
            .spawn()
            .expect("is nginx installed? deploy/test.sh does it");
        eventually("nginx listens", async || {
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        Self {
            address,
            _child: child,
            _folder: folder,
        }
    }
}

/// What docs/operations.md tells operators, and folders of its own.
fn configuration([first, second]: [u16; 2], listen: SocketAddr) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid;
         events {{ worker_connections 256; }}
         http {{
             access_log off; error_log /dev/null crit;
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;
             upstream sallyport {{
                 server 127.0.0.1:{first} max_fails=0;
                 server 127.0.0.1:{second} max_fails=0;
                 keepalive 32;
             }}
             server {{
                 listen {listen};
                 location / {{
                     proxy_pass http://sallyport;
                     proxy_http_version 1.1;
                     proxy_set_header Connection \"\";
                     proxy_set_header Host $http_host;
                     proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                 }}
             }}
         }}"
    )
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// An instance on this port that drains as in production.
fn on(port: u16) -> Options {
    let mut options = Options::unlimited().behind_a_proxy();
    options.address = Some(local(port));
    options.http.drain_notice = config::Http::default().drain_notice;
    options
}

/// Sends POSTs, which nginx does not repeat, one after the other; how many were answered, and other answers.
async fn post_until(over: CancellationToken, client: Anonymous) -> (usize, Vec<String>) {
    let (mut answered, mut failed) = (0, Vec::new());
    while !over.is_cancelled() {
        let answer = client.post("/api/auth/logout", &json!({})).await;
        if answer.status == http::StatusCode::OK {
            answered += 1;
        } else {
            failed.push(format!("{}: {}", answer.status, answer.text));
        }
    }
    (answered, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_behind_nginx_fails_no_request() {
    let stores = TestStores::new(Kind::Single).await;
    let ports = [free_port(), free_port()];
    let first = TestServer::open(&stores, on(ports[0])).await;
    let second = first.another(&stores, on(ports[1])).await;
    let nginx = Nginx::before(ports).await;
    let over = CancellationToken::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(post_until(over.clone(), Anonymous::at(nginx.address))))
        .collect();

    let mut instances = VecDeque::from([(first, ports[0]), (second, ports[1])]);
    for _ in 0..RESTARTS {
        let (server, port) = instances.pop_front().expect("two of them");
        clock::sleep(Duration::from_millis(100)).await;
        let server = server.restart(&stores, on(port)).await;
        instances.push_back((server, port));
    }
    over.cancel();
    let (mut answered, mut failed) = (0, Vec::new());
    for client in clients {
        let (ok, other) = client.await.expect("no panic");
        answered += ok;
        failed.extend(other);
    }
    println!("{answered} answered, {} failed", failed.len());
    assert!(failed.is_empty(), "{answered} answered, {failed:?}");
    assert!(answered > RESTARTS, "{answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_behind_nginx_refreshes_by_its_cookie_because_nginx_tells_the_host() {
    let stores = TestStores::new(Kind::Single).await;
    let port = free_port();
    let server = TestServer::open(&stores, on(port)).await;
    let nginx = Nginx::before([port, port]).await;
    let body =
        json!({ "email": "ada@example.com", "username": "ada", "password": "SecurePass123!" });
    let browser = Anonymous::at(nginx.address);
    let registered = browser.post("/api/auth/register", &body).await.ok();
    let cookie = registered.cookie("refreshToken").expect("a cookie");
    let own = format!("http://{}", nginx.address);
    let headers = [("cookie", cookie.as_str()), ("origin", own.as_str())];
    let route = "POST /api/auth/refresh";
    browser.send_absolute(route, &headers, None).await.ok();
    let refused = server.send_absolute(route, &headers, None).await;
    assert_eq!(refused.problem(), (403, "csrf_failed".to_owned()));
}
