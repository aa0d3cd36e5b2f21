//! Export of the whole audit as one stream.

use sallyport::model::User;
use serde_json::{Value, json};

use crate::harness::{Answer, Kind, LoggedIn, Options, TestServer, TestStores};

async fn open(stores: &TestStores) -> (TestServer, LoggedIn) {
    let server = TestServer::open(stores, Options::unlimited()).await;
    server.register("root").await;
    let promote = |user: &mut User| user.roles.push("admin".to_owned());
    server.change_user("root", promote).await;
    let admin = server.login("root").await;
    server.store.flush().await.expect("flushed");
    (server, admin)
}

/// Adds entries of a user agent straight into PostgreSQL.
async fn add(stores: &TestStores, count: i32, user_agent: &str) {
    let added = sqlx::query(
        "INSERT INTO audit_logs (ver, gen, partition, id, action, success, user_agent, details, created_at) \
         SELECT 1, 1, 1, (lpad(to_hex(1768000000000 + g), 12, '0') || '70008000000000000000')::uuid, \
                'device.renamed', true, $2, '{\"name\":\"a\"}', now() FROM generate_series(1, $1) g",
    );
    let added = added
        .bind(count)
        .bind(user_agent)
        .execute(&stores.pool)
        .await;
    added.expect("added");
}

async fn export(admin: &LoggedIn, query: &str) -> Answer {
    admin
        .send(&format!("GET /admin/audit/export?{query}"), None)
        .await
}

fn lines(answer: &Answer) -> Vec<Value> {
    let lines = answer.text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn an_export_over_many_pages_has_each_entry_once_as_the_list_shows_it() {
    let stores = TestStores::new(Kind::Single).await;
    let (_server, admin) = open(&stores).await;
    add(&stores, 4100, "curl/8").await;
    let all = export(&admin, "").await.ok();
    assert_eq!(all.header("content-type"), "application/x-ndjson");
    assert!(
        all.header("content-disposition")
            .starts_with("attachment; ")
    );
    let entries = lines(&all);
    assert_eq!(entries.len(), 4102);
    let mut ids: Vec<&str> = entries
        .iter()
        .map(|entry| entry["id"].as_str().expect("an id"))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 4102);
    let listed = admin.send("GET /admin/audit?limit=1", None).await.ok();
    assert_eq!(entries.last(), listed.json()["data"]["entries"].get(0));
    let some = export(&admin, "format=ndjson&action=user.*").await.ok();
    assert_eq!(lines(&some).len(), 2);
    let none = export(&admin, "userId=00000000-0000-7000-8000-000000000000")
        .await
        .ok();
    assert_eq!(none.text, "");
}

#[tokio::test]
async fn a_csv_has_a_line_of_names_and_no_formulas() {
    let stores = TestStores::new(Kind::Single).await;
    let (_server, admin) = open(&stores).await;
    add(&stores, 1, "=HYPERLINK(\"http://x\"),a").await;
    let csv = export(&admin, "format=csv&action=device.renamed")
        .await
        .ok();
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<&str> = csv.text.split("\r\n").collect();
    assert!(
        lines[0].starts_with("id,createdAt,action,success,userId,"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains(",\"'=HYPERLINK(\"\"http://x\"\"),a\","),
        "{}",
        lines[1]
    );
    assert_eq!((lines.len(), lines[2]), (3, ""));
}

#[tokio::test]
async fn ocsf_tells_logins_and_changes_of_accounts_by_their_classes() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, admin) = open(&stores).await;
    let root = server.user_id("root").await;
    let events = lines(&export(&admin, "format=ocsf").await.ok());
    let of = |type_uid: u32| events.iter().find(|event| event["type_uid"] == type_uid);
    assert!(events.len() == 2 && of(300_101).is_some(), "{events:?}");
    let login = of(300_201).expect("a login");
    assert_eq!(login["user"]["uid"], json!(root));
    assert_eq!(login["actor"]["user"]["uid"], json!(root));
    assert_eq!(login["src_endpoint"]["ip"], "127.0.0.1");
    assert_eq!(
        (&login["status_id"], &login["metadata"]["version"]),
        (&json!(1), &json!("1.2.0"))
    );
}

#[tokio::test]
async fn an_export_needs_the_permission_and_a_format_that_is_known() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, admin) = open(&stores).await;
    let alice = server.register("alice").await;
    assert_eq!(
        export(&alice, "").await.problem(),
        (403, "forbidden".to_owned())
    );
    for wrong in ["format=xml", "format=", "ip=x", "q="] {
        let refused = export(&admin, wrong).await;
        assert_eq!(
            refused.problem(),
            (400, "invalid_input".to_owned()),
            "{wrong}"
        );
    }
}
