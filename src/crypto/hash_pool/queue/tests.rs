//! The queue with a worker that only counts.

use std::net::Ipv4Addr;

use super::super::engine::Engine;
use super::*;

struct Idle {
    abandoned: bool,
}

impl Task for Idle {
    fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    fn run(self: Box<Self>, _engine: &mut Engine) -> bool {
        true
    }

    fn refuse(self: Box<Self>, _error: HashError) {}
}

fn task() -> Box<dyn Task> {
    Box::new(Idle { abandoned: false })
}

/// The `number`th network.
fn network(number: u16) -> Network {
    let [high, low] = number.to_be_bytes();
    Network::of(Ipv4Addr::new(198, 18, high, low).into())
}

/// Two workers that take 10 ms for each job: 833 are done within five sixths of five seconds.
fn usual() -> Queue {
    let (deadline, run) = (Duration::from_secs(5), Duration::from_millis(10));
    let queue = Queue::new(2, 2000, deadline, run);
    (0..AVERAGED_JOBS).for_each(|_| queue.ran(run));
    queue
}

impl Queue {
    fn admit(&self, number: u16) -> Result<(), HashError> {
        let reservation = self.reserve(network(number))?;
        self.enter(reservation, task());
        Ok(())
    }
}

#[test]
fn a_full_queue_refuses_and_a_taken_job_makes_room() {
    let queue = Queue::new(1, 2, Duration::from_hours(1), Duration::from_millis(7));
    assert_eq!(queue.admit(1), Ok(()));
    assert_eq!(queue.admit(2), Ok(()));
    assert!(matches!(queue.admit(3), Err(HashError::Overloaded { .. })));
    assert_eq!(queue.waiting(), 2);
    assert!(queue.take().is_some());
    assert_eq!(queue.admit(3), Ok(()));
}

#[test]
fn no_job_is_admitted_that_would_wait_too_long() {
    // Two workers, a second each, five seconds: eight are done within five sixths of it, and one is next.
    let queue = Queue::new(2, 2000, Duration::from_secs(5), Duration::from_secs(1));
    for waiting in 0..9 {
        assert_eq!(queue.check_admission(network(waiting)), Ok(()));
        assert_eq!(queue.admit(waiting), Ok(()), "{waiting} wait");
    }
    let refused = Err(HashError::Overloaded {
        retry_after: Duration::from_secs(5),
    });
    assert_eq!(queue.check_admission(network(9)), refused);
    assert_eq!(queue.admit(9), refused);
}

#[test]
fn jobs_that_run_are_waited_for_too() {
    let queue = Queue::new(2, 2000, Duration::from_secs(5), Duration::from_secs(1));
    for number in 0..2 {
        assert_eq!(queue.admit(number), Ok(()));
        assert!(queue.take().is_some());
    }
    for number in 2..9 {
        assert_eq!(queue.admit(number), Ok(()), "{number}");
    }
    assert!(queue.admit(9).is_err());
    queue.ran(Duration::from_secs(1));
    assert_eq!(queue.admit(9), Ok(()));
}

#[test]
fn a_reservation_counts_until_it_is_given_back() {
    let queue = Queue::new(1, 1, Duration::from_secs(5), Duration::from_millis(10));
    let reservation = queue.reserve(network(1)).expect("there is room");
    assert_eq!(queue.waiting(), 0);
    assert!(queue.check_admission(network(2)).is_err());
    queue.withdraw(&reservation);
    assert_eq!(queue.check_admission(network(2)), Ok(()));
}

#[test]
fn five_hundred_who_come_at_once_are_let_in_though_they_share_the_cores() {
    let queue = usual();
    // Time of a hash while stores and clients compete for the same two cores.
    for _ in 0..500 {
        queue.ran(Duration::from_millis(16));
    }
    for number in 0..500 {
        assert_eq!(queue.admit(number), Ok(()), "{number}");
    }
}

#[test]
fn a_few_slow_jobs_do_not_shut_the_door() {
    let queue = usual();
    for number in 0..700 {
        assert_eq!(queue.admit(number), Ok(()));
    }
    for _ in 0..4 {
        queue.ran(Duration::from_millis(40));
    }
    assert_eq!(queue.admit(700), Ok(()));
}

#[test]
fn one_network_gets_less_than_half_of_the_places_and_leaves_room_for_all_others() {
    let queue = usual();
    let greedy = (0..2000).filter(|_| queue.admit(0).is_ok()).count();
    assert!((350..450).contains(&greedy), "{greedy}");
    let others = (1..2000).filter(|number| queue.admit(*number).is_ok());
    assert_eq!(others.count(), 834 - greedy);
}

#[test]
fn the_estimate_follows_what_jobs_really_take() {
    let queue = Queue::new(1, 2000, Duration::from_secs(5), Duration::from_secs(10));
    assert_eq!(queue.admit(1), Ok(()));
    assert!(queue.admit(2).is_err());
    for _ in 0..64 {
        queue.ran(Duration::from_millis(10));
    }
    assert_eq!(queue.admit(2), Ok(()));
}

#[test]
fn a_wrong_guess_is_soon_forgotten() {
    let queue = Queue::new(2, 2000, Duration::from_secs(5), Duration::from_millis(40));
    (0..40).for_each(|_| queue.ran(Duration::from_millis(10)));
    for number in 0..500 {
        assert_eq!(queue.admit(number), Ok(()), "{number}");
    }
}

#[test]
fn retry_after_is_at_least_a_second() {
    let queue = Queue::new(1, 0, Duration::from_secs(5), Duration::from_millis(1));
    assert_eq!(
        queue.admit(1),
        Err(HashError::Overloaded {
            retry_after: Duration::from_secs(1)
        })
    );
}

#[test]
fn abandoned_and_overdue_jobs_are_not_handed_out() {
    let queue = Queue::new(1, 9, Duration::from_secs(5), Duration::ZERO);
    let reservation = queue.reserve(network(1)).expect("there is room");
    queue.enter(reservation, Box::new(Idle { abandoned: true }));
    assert_eq!(queue.admit(2), Ok(()));
    assert!(queue.take().is_none());
    assert!(queue.take().is_some());

    let impatient = Queue::new(1, 9, Duration::ZERO, Duration::ZERO);
    assert_eq!(impatient.admit(1), Ok(()));
    let waited = Stopwatch::start();
    while waited.elapsed().is_zero() {}
    assert!(impatient.take().is_none());
    assert_eq!(impatient.waiting(), 0);
}
