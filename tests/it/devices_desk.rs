//! Trusted devices as their owner sees and changes them, over real stores.

use sallyport::auth::{Error, LoginOutcome};

use crate::auth_desk::{Desk, curl};
use crate::factor_desk::refusal;

async fn is_trusted(desk: &Desk, name: &str, token: &str) -> Option<String> {
    match desk.knock(name, Some(token.to_owned())).await {
        LoginOutcome::SignedIn(signed_in) => Some(signed_in.device_token.expect("rotated").text),
        LoginOutcome::SecondFactorDue(_) => None,
    }
}

#[tokio::test]
async fn an_owner_lists_renames_and_removes_devices() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let (_, laptop) = desk.trust("alice", &alice.app, "laptop").await;
    let (_, phone) = desk.trust("alice", &alice.app, " my\tphone ").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let devices = desk.auth.devices(&caller).await.expect("listed");
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["my phone", "laptop"]);

    let (client, id) = (curl(), devices[1].id);
    let renamed = desk
        .auth
        .rename_device(&client, &caller, id, " old\r\nlaptop ");
    let (renamed, _) = renamed.await.expect("renamed");
    assert_eq!(renamed.name, "old laptop");
    let nameless = desk.auth.rename_device(&client, &caller, id, " \n ").await;
    let Err(Error::Invalid(errors)) = nameless else {
        panic!("nothing is left of the name");
    };
    assert_eq!(
        (errors[0].field, errors[0].code),
        ("deviceName", "required")
    );
    let laptop = is_trusted(&desk, "alice", &laptop).await;
    assert!(laptop.is_some(), "a name changes nothing else");

    let removed = desk.auth.remove_device(&client, &caller, id).await;
    removed.expect("removed");
    assert_eq!(
        is_trusted(&desk, "alice", &laptop.expect("rotated")).await,
        None
    );
    assert!(
        is_trusted(&desk, "alice", &phone).await.is_some(),
        "another one"
    );
    let left = desk.auth.devices(&caller).await.expect("listed");
    assert_eq!(left.len(), 1);
    let again = desk.auth.remove_device(&client, &caller, id).await;
    assert_eq!(refusal(again), "not_found");
    let renamed = desk.auth.rename_device(&client, &caller, id, "x").await;
    assert_eq!(refusal(renamed), "not_found");
    assert_eq!(desk.audited("device.renamed").await, 1);
    assert_eq!(desk.audited("device.removed").await, 1);
}

#[tokio::test]
async fn nobody_else_finds_a_device() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let (_, laptop) = desk.trust("alice", &alice.app, "laptop").await;
    let owner = desk.caller(&alice.access_token).await.expect("live");
    let id = desk.auth.devices(&owner).await.expect("listed")[0].id;
    let mallory = desk.register("mallory").await;
    let mallory = desk.caller(&mallory.access_token).await.expect("live");
    let renamed = desk.auth.rename_device(&curl(), &mallory, id, "mine").await;
    assert_eq!(refusal(renamed), "not_found");
    let removed = desk.auth.remove_device(&curl(), &mallory, id).await;
    assert_eq!(refusal(removed), "not_found");
    assert!(
        desk.auth
            .devices(&mallory)
            .await
            .expect("listed")
            .is_empty()
    );
    assert!(is_trusted(&desk, "alice", &laptop).await.is_some());
}

#[tokio::test]
async fn all_devices_end_at_once_and_nothing_else_does() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let (elsewhere, laptop) = desk.trust("alice", &alice.app, "laptop").await;
    let (_, phone) = desk.trust("alice", &alice.app, "phone").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let (count, _) = desk
        .auth
        .remove_devices(&curl(), &caller)
        .await
        .expect("removed");
    assert_eq!(count, 2);
    for token in [laptop, phone] {
        assert_eq!(is_trusted(&desk, "alice", &token).await, None);
    }
    let caller = desk.caller(&alice.access_token).await.expect("live");
    assert!(desk.auth.devices(&caller).await.expect("listed").is_empty());
    let there = desk
        .caller(&elsewhere.access_token)
        .await
        .expect("logged in");
    assert!(desk.auth.require_recent(&there).await.is_ok());
    let (_, fresh) = desk.trust("alice", &alice.app, "tablet").await;
    assert!(is_trusted(&desk, "alice", &fresh).await.is_some());
    assert_eq!(desk.audited("device.removed").await, 1);
}
