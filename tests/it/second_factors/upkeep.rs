//! To look after them.

use http::StatusCode;
use serde_json::{Value, json};

use super::{open, with_alice};
use crate::house::{Member, PASSWORD, texts};
use crate::lab::{Kind, Lab};

fn id_of(list: &Value, kind: &str) -> String {
    let methods = list["data"]["methods"].as_array().expect("a list").iter();
    let mut found = methods.filter(|method| method["type"] == kind);
    let found = found.next().expect("is there");
    found["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn new_backup_codes_void_the_old_ones() {
    let lab = Lab::new(Kind::Single).await;
    let (house, alice, app) = with_alice(&lab).await;
    let line = "POST /2fa/backup-codes/generate";
    let made = house.as_member(&alice, line, None).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let codes = texts(&made.json()["data"]["backupCodes"]);
    assert_eq!(codes.len(), 10);
    let temp = house.challenge("alice").await;
    let old = house.verify_backup_code(&temp, &app.backup_codes[0]).await;
    assert_eq!(old.problem(), (400, "invalid_code".to_owned()));
    let new = house.verify_backup_code(&temp, &codes[9]).await;
    assert_eq!(new.status, StatusCode::OK, "{}", new.text);
}

#[tokio::test]
async fn the_last_method_takes_everything_with_it() {
    let lab = Lab::new(Kind::Single).await;
    let (house, alice, app) = with_alice(&lab).await;
    let removed = house.as_member(&alice, "DELETE /2fa/totp", None).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    let again = house.as_member(&alice, "DELETE /2fa/totp", None).await;
    assert_eq!(again.problem(), (404, "not_found".to_owned()));
    let off = (409, "two_factor_not_enabled".to_owned());
    for line in [
        "GET /2fa/backup-codes/count",
        "POST /2fa/backup-codes/generate",
    ] {
        let refused = house.as_member(&alice, line, None).await;
        assert_eq!(refused.problem(), off, "{line}");
    }
    let methods = house.as_member(&alice, "GET /2fa/methods", None).await;
    assert_eq!(methods.json()["data"]["methods"], json!([]));
    let member = house.login("alice").await;
    let me = house.get_as("/api/auth/me", &member.access).await.json();
    assert_eq!(me["data"]["user"]["twoFactorEnabled"], false);
    drop(app);
}

#[tokio::test]
async fn a_method_is_preferred_and_removed_by_its_owner_alone() {
    let lab = Lab::new(Kind::Single).await;
    let (house, alice, _app) = with_alice(&lab).await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    house.enable_sent(&alice, "sms", &phone).await;
    let mallory = house.register("mallory").await;
    let list = house
        .as_member(&alice, "GET /2fa/methods", None)
        .await
        .json();
    let (totp, sms) = (id_of(&list, "totp"), id_of(&list, "sms"));
    let prefer = json!({ "preferred": true });
    let not_found = (404, "not_found".to_owned());
    for (id, who) in [(sms.as_str(), &mallory), ("nonsense", &alice)] {
        let line = format!("PATCH /2fa/methods/{id}");
        let refused = house.as_member(who, &line, Some(&prefer)).await;
        assert_eq!(refused.problem(), not_found, "{id}");
        let line = format!("DELETE /2fa/methods/{id}");
        let refused = house.as_member(who, &line, None).await;
        assert_eq!(refused.problem(), not_found, "{id}");
    }
    let line = format!("PATCH /2fa/methods/{sms}");
    let changed = house.as_member(&alice, &line, Some(&prefer)).await;
    assert_eq!(
        changed.json()["data"]["method"]["preferred"],
        true,
        "{}",
        changed.text
    );
    let due = house.try_login("alice", PASSWORD).await.json();
    assert_eq!(due["data"]["preferredMethod"], "sms");
    assert_eq!(
        due["data"]["availableMethods"],
        json!(["totp", "sms", "backup_code"])
    );
    let disable = json!({ "enabled": false });
    let refused = house.as_member(&alice, &line, Some(&disable)).await;
    assert_eq!(refused.problem(), (400, "invalid_input".to_owned()));
    let line = format!("DELETE /2fa/methods/{totp}");
    let removed = house.as_member(&alice, &line, None).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    let due = house.try_login("alice", PASSWORD).await.json();
    assert_eq!(
        due["data"]["availableMethods"],
        json!(["sms", "backup_code"])
    );
}

#[tokio::test]
async fn a_change_of_factors_takes_other_sessions_right_to_make_one() {
    let lab = Lab::new(Kind::Single).await;
    let house = open(&lab).await;
    let alice = house.register("alice").await;
    let other = house.login("alice").await;
    let app = house.enable_totp(&lab.clock, &alice).await;
    let line = "POST /2fa/backup-codes/generate";
    let refused = house.as_member(&other, line, None).await;
    assert_eq!(
        refused.problem(),
        (403, "reauthentication_required".to_owned())
    );
    assert_eq!(
        house.me(&other).await,
        StatusCode::OK,
        "it is logged in still"
    );
    let made = house.as_member(&alice, line, None).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);

    for (proof, field) in [
        (json!({}), "password"),
        (json!({ "password": PASSWORD, "code": app.code() }), "code"),
    ] {
        let line = "POST /auth/reauthenticate";
        let refused = house.as_member(&other, line, Some(&proof)).await;
        assert_eq!(refused.problem(), (400, "invalid_input".to_owned()));
        assert_eq!(
            refused.json()["errors"][0]["field"],
            field,
            "{}",
            refused.text
        );
    }
    let wrong = json!({ "code": app.wrong_code() });
    let line_again = "POST /auth/reauthenticate";
    let wrong = house.as_member(&other, line_again, Some(&wrong)).await;
    assert_eq!(wrong.problem(), (400, "invalid_code".to_owned()));
    let proof = json!({ "code": app.code() });
    let proven = house.as_member(&other, line_again, Some(&proof)).await;
    assert_eq!(proven.status, StatusCode::OK, "{}", proven.text);
    let fresh = Member {
        access: proven.data("accessToken"),
        ..other
    };
    let made = house.as_member(&fresh, line, None).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let replay = house.as_member(&fresh, line_again, Some(&proof)).await;
    assert_eq!(replay.problem(), (400, "invalid_code".to_owned()));
}
