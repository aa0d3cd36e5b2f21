//! The fair queue as a state machine: the order of service, and admission.

use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn network(number: u8) -> Network {
    Network::of(Ipv4Addr::new(192, 0, 2, number).into())
}

impl<T> FairQueue<T> {
    fn push(&mut self, number: u8, work: T) {
        let reservation = self.reserve(network(number));
        self.enter(reservation, work);
    }

    fn rest(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[test]
fn one_network_is_served_in_the_order_in_which_it_came() {
    let mut queue = FairQueue::new();
    (0..5).for_each(|number| queue.push(1, number));
    assert_eq!(queue.waiting(), 5);
    assert_eq!(queue.rest(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_network_with_one_job_overtakes_a_flood() {
    let mut queue = FairQueue::new();
    for job in ["a1", "a2", "a3", "a4", "a5"] {
        queue.push(1, job);
    }
    assert_eq!(queue.next(), Some("a1"));
    queue.push(2, "b1");
    queue.push(2, "b2");
    queue.push(3, "c1");
    // "a2" is the oldest and in turn as well; then the other networks go before the rest of the flood.
    assert_eq!(queue.rest(), ["a2", "b1", "a3", "c1", "a4", "b2", "a5"]);
}

#[test]
fn networks_with_one_job_each_are_served_in_the_order_in_which_they_came() {
    let mut queue = FairQueue::new();
    (0..5).for_each(|number| queue.push(number, number));
    queue.push(0, 5);
    queue.push(8, 8);
    // "5" came earlier, but its network has had a turn by then.
    assert_eq!(queue.rest(), [0, 1, 2, 3, 4, 8, 5]);
}

#[test]
fn the_turn_is_that_of_the_reservation() {
    let mut queue = FairQueue::new();
    let early = queue.reserve(network(1));
    queue.push(2, "later");
    queue.enter(early, "earlier");
    assert_eq!(queue.rest(), ["earlier", "later"]);
}

#[test]
fn a_network_without_permits_has_no_entry() {
    let mut queue = FairQueue::new();
    for job in 0..3 {
        queue.push(1, job);
        queue.push(2, job);
    }
    let unused = [queue.reserve(network(2)), queue.reserve(network(3))];
    assert_eq!((queue.permits(), queue.waiting()), (8, 6));
    assert_eq!(queue.rest().len(), 6);
    assert_eq!((queue.networks.len(), queue.turns.len()), (2, 0));
    for reservation in &unused {
        queue.withdraw(reservation);
    }
    assert_eq!((queue.permits(), queue.networks.len()), (0, 0));
}

#[test]
fn several_floods_get_equal_parts_and_leave_something_for_the_next() {
    const MOST: usize = 900;
    let mut queue = FairQueue::new();
    let mut admitted = [0_usize; 4];
    let mut flood = |queue: &mut FairQueue<()>, number: u8| {
        let one = network(number);
        if queue.ahead(one) < MOST && queue.within_share(one, MOST) {
            queue.push(number, ());
            admitted[usize::from(number)] += 1;
        }
        admitted
    };
    for _ in 0..MOST {
        flood(&mut queue, 0);
    }
    let alone = flood(&mut queue, 0)[0];
    assert!((380..450).contains(&alone), "{alone}");
    // While jobs are served, the other networks get nearly as many permits as the first had taken.
    for _ in 0..5 * MOST {
        queue.next();
        (0..4).for_each(|number| {
            flood(&mut queue, number);
        });
    }
    let held = |number| queue.networks[&network(number)].permits();
    let (least, most) = ((0..4).map(held).min(), (0..4).map(held).max());
    assert!(
        least > Some(90) && most < Some(130),
        "{least:?} to {most:?}"
    );
    assert!(queue.within_share(network(9), MOST));
}

#[derive(Clone, Debug)]
enum Move {
    /// Reserves a permit for a network.
    Reserve(u8),
    /// Uses one of the reserved permits.
    Enter(usize),
    /// Withdraws one of the reserved permits.
    Withdraw(usize),
    Next,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0..6_u8).prop_map(Move::Reserve),
        4 => any::<usize>().prop_map(Move::Enter),
        1 => any::<usize>().prop_map(Move::Withdraw),
        3 => Just(Move::Next),
    ];
    vec(one, 0..400)
}

/// A job that waits: the number served before it came, and the most that may be served before it.
struct Waiter {
    served_before: usize,
    at_most: usize,
}

/// Serves the next job, if there is one, before which no more than the most may have been served.
fn serve(queue: &mut FairQueue<Waiter>, served: usize) -> Result<bool, TestCaseError> {
    let Some(waiter) = queue.next() else {
        return Ok(false);
    };
    prop_assert!(served - waiter.served_before <= waiter.at_most);
    Ok(true)
}

proptest! {
    /// The bound of `ahead` holds, whatever comes later and in whatever order permits are used.
    #[test]
    fn no_job_waits_longer_than_was_known_when_it_came(moves in moves()) {
        let mut queue: FairQueue<Waiter> = FairQueue::new();
        let (mut reserved, mut served) = (Vec::new(), 0);
        for next in moves {
            match next {
                Move::Reserve(number) => {
                    let at_most = queue.ahead(network(number));
                    reserved.push((queue.reserve(network(number)), at_most));
                }
                Move::Enter(which) if !reserved.is_empty() => {
                    let (reservation, at_most) = reserved.swap_remove(which % reserved.len());
                    let served_before = served;
                    queue.enter(reservation, Waiter { served_before, at_most });
                }
                Move::Withdraw(which) if !reserved.is_empty() => {
                    let (reservation, _) = reserved.swap_remove(which % reserved.len());
                    queue.withdraw(&reservation);
                }
                Move::Next => served += usize::from(serve(&mut queue, served)?),
                _ => {}
            }
        }
        for (reservation, _) in reserved {
            queue.withdraw(&reservation);
        }
        while serve(&mut queue, served)? {
            served += 1;
        }
        prop_assert!(queue.networks.is_empty() && queue.turns.is_empty());
    }

    /// The order within one network, whatever others do.
    #[test]
    fn jobs_of_one_network_are_served_in_their_order(
        moves in vec((any::<bool>(), 0..4_u8), 0..200)
    ) {
        let mut queue = FairQueue::new();
        let mut latest = [0_usize; 4];
        let mut served = Vec::new();
        for (number, (comes, who)) in moves.into_iter().enumerate() {
            if comes {
                queue.push(who, (usize::from(who), number + 1));
            } else {
                served.extend(queue.next());
            }
        }
        served.extend(queue.rest());
        for (who, number) in served {
            prop_assert!(latest[who] < number);
            latest[who] = number;
        }
    }
}
