//! Members that nobody asked for.

use http::StatusCode;
use serde_json::json;

use crate::house::{House, Member, PASSWORD, Wishes};
use crate::lab::{Kind, Lab};

#[tokio::test]
async fn nobody_registers_rights_or_records_of_their_own_choice() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let wanted = "01890000-0000-7000-8000-000000000001";
    let body = json!({
        "email": "mallory@example.com", "username": "mallory", "password": PASSWORD,
        "id": wanted, "roles": ["admin"], "emailVerified": true,
        "emailVerifiedAt": "2020-01-01T00:00:00Z", "twoFactorEnabled": true,
        "passwordHash": "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "password_hash": "x", "email_verified_at": 1, "two_factor_enabled": true,
        "sessionEpoch": 77, "disabledAt": null, "createdAt": "2020-01-01T00:00:00Z",
    });
    let answer = house
        .post_as("/api/auth/register", &body, &[("x-token-delivery", "body")])
        .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let member = Member::of(&answer);
    let me = house.get_as("/api/auth/me", &member.access).await.json();
    let user = &me["data"]["user"];
    assert_ne!(user["id"], wanted);
    assert_eq!(user["roles"], json!([]));
    assert_eq!(user["emailVerified"], false);
    assert_eq!(user["twoFactorEnabled"], false);
    house.login("mallory").await;
    house.store.flush().await.expect("flushed");
    let plain = lab
        .count(
            "SELECT count(*) FROM users WHERE email_verified_at IS NULL AND NOT two_factor_enabled
             AND roles::text IN ('{}', '[]') AND session_epoch = 0 AND created_at > '2026-01-01'",
        )
        .await;
    assert_eq!(plain, 1);
}
