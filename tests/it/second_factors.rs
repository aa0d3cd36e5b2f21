//! The second door as clients meet it: to set a factor up, to log in with it, to look after it.

mod bounds;
mod login;
mod set_up;
mod upkeep;

use crate::house::{App, House, Member, Wishes};
use crate::lab::Lab;

async fn open(lab: &Lab) -> House {
    House::open(lab, Wishes::unlimited().with_outbox()).await
}

/// A house with alice, who has an authenticator app.
async fn with_alice(lab: &Lab) -> (House, Member, App) {
    let house = open(lab).await;
    let alice = house.register("alice").await;
    let app = house.enable_totp(&lab.clock, &alice).await;
    (house, alice, app)
}
