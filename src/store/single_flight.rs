//! One question for all who ask it at the same time: whoever comes while it is under way waits for that answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

/// Questions under way, by their subject.
#[derive(Debug)]
pub(crate) struct SingleFlight<K, V: Clone>(Mutex<HashMap<K, Flight<V>>>);

type Question<V> = Shared<BoxFuture<'static, V>>;
type Flight<V> = WeakShared<BoxFuture<'static, V>>;

impl<K, V: Clone> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Removes a question that is answered, or that nobody waits for any more.
struct Landing<'a, K: Eq + Hash, V: Clone>(&'a SingleFlight<K, V>, K);

impl<K: Eq + Hash, V: Clone> Drop for Landing<'_, K, V> {
    fn drop(&mut self) {
        let mut flights = self.0.flights();
        if flights
            .get(&self.1)
            .is_some_and(|flight| open(flight).is_none())
        {
            flights.remove(&self.1);
        }
    }
}

fn open<V: Clone>(flight: &Flight<V>) -> Option<Question<V>> {
    flight
        .upgrade()
        .filter(|question| question.peek().is_none())
}

impl<K: Clone + Eq + Hash, V: Clone + Send + Sync + 'static> SingleFlight<K, V> {
    /// The answer to the question about `key`: of the one under way, else of `ask`. It goes on for as long as
    /// anybody waits for it.
    pub(crate) async fn run<F>(&self, key: K, ask: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        let _landing = Landing(self, key.clone());
        let question = self.join(key, ask);
        question.await
    }

    fn join<F>(&self, key: K, ask: impl FnOnce() -> F) -> Question<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flights = self.flights();
        if let Some(question) = flights.get(&key).and_then(open) {
            return question;
        }
        let question = ask().boxed().shared();
        if let Some(flight) = question.downgrade() {
            flights.insert(key, flight);
        }
        question
    }
}

impl<K, V: Clone> SingleFlight<K, V> {
    fn flights(&self) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn those_who_come_together_share_an_answer_and_later_ones_ask_again() {
        let flights = SingleFlight::<u8, usize>::default();
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
            async move {
                let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
                answer.notified().await;
                number
            }
        };
        let crowd = futures_util::future::join_all((0..200).map(|_| flights.run(1, ask)));
        let (answers, ()) = tokio::join!(crowd, async { answer.notify_one() });
        assert!(answers.iter().all(|answer| *answer == 1));
        answer.notify_one();
        assert_eq!(flights.run(1, ask).await, 2);
        assert!(flights.flights().is_empty());
    }

    #[tokio::test]
    async fn a_question_that_its_asker_gave_up_goes_on_for_the_others_and_is_forgotten_after_the_last()
     {
        let flights = SingleFlight::<u8, ()>::default();
        let mut first = Box::pin(flights.run(1, std::future::pending));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(flights.run(1, || async { panic!("asked twice") }));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(flights.flights().len(), 1);
        drop(second);
        assert!(flights.flights().is_empty());
    }
}
