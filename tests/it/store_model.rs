//! The promise as a property: whatever order commits, flushes, sweeps, evictions, crashes and losses
//! come in, nothing acknowledged is lost, undone or done twice (invariants 1 to 5 of the store).
//!
//! Two processes share one Redis and one PostgreSQL, all real; only time is simulated, and every
//! background step is taken by hand, so a failing history can be shrunk and played again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestCaseError, TestRunner};
use sallyport::model::{SessionId, User};
use sallyport::store::{Class, Error, Store};

use crate::harness::records;
use crate::harness::{Kind, TestStores};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Process p registers account u, when it does not exist.
    Register(usize, usize),
    /// Process p changes something lasting on account u.
    Grant(usize, usize),
    /// Both processes consume the same code of account u at once.
    ConsumeTwice(usize),
    /// Process p opens a session of account u.
    Open(usize, usize),
    /// Process p ends the oldest open session of account u.
    End(usize, usize),
    Flush(usize),
    Sweep(usize),
    Check(usize),
    /// Records that are not pending leave Redis, as after a long idle time.
    Evict,
    /// Process p dies, with whatever it held in memory.
    Crash(usize),
    /// Redis forgets everything.
    LoseRedis,
    /// Redis goes back to where it was at the last `Remember`.
    Rewind,
    Remember,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let (process, account) = (0..2_usize, 0..3_usize);
    prop_oneof![
        3 => (process.clone(), account.clone()).prop_map(|(p, u)| Step::Register(p, u)),
        8 => (process.clone(), account.clone()).prop_map(|(p, u)| Step::Grant(p, u)),
        4 => account.clone().prop_map(Step::ConsumeTwice),
        4 => (process.clone(), account.clone()).prop_map(|(p, u)| Step::Open(p, u)),
        4 => (process.clone(), account).prop_map(|(p, u)| Step::End(p, u)),
        4 => process.clone().prop_map(Step::Flush),
        2 => process.clone().prop_map(Step::Sweep),
        1 => process.clone().prop_map(Step::Check),
        2 => Just(Step::Evict),
        2 => process.prop_map(Step::Crash),
        1 => Just(Step::LoseRedis),
        1 => Just(Step::Rewind),
        2 => Just(Step::Remember),
        1 => Just(Step::Wait),
    ]
}

/// Everything that was acknowledged.
#[derive(Default)]
struct Expected {
    users: BTreeMap<usize, User>,
    open: BTreeMap<usize, Vec<SessionId>>,
    ended: BTreeSet<SessionId>,
}

struct World {
    stores: TestStores,
    processes: Vec<Store>,
    expected: Expected,
    /// A process died and its entries stand in the log alone.
    orphans: bool,
    picture: Vec<(String, fred::types::Value)>,
    /// Redis has just lost something, and nobody has looked yet.
    unsettled: bool,
}

impl World {
    async fn new(stores: TestStores) -> Self {
        sqlx::raw_sql("TRUNCATE users, sessions, audit_logs, partitions, dead_letters")
            .execute(&stores.pool)
            .await
            .expect("truncate");
        stores.empty_redis().await;
        let processes = vec![stores.stepped().await, stores.stepped().await];
        Self {
            stores,
            processes,
            expected: Expected::default(),
            orphans: false,
            picture: Vec::new(),
            unsettled: false,
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Register(p, u) => self.register(p, u).await?,
            Step::Grant(p, u) => self.grant(p, u).await?,
            Step::ConsumeTwice(u) => Box::pin(self.consume_twice(u)).await?,
            Step::Open(p, u) => self.open(p, u).await?,
            Step::End(p, u) => self.end(p, u).await?,
            Step::Flush(p) => self.processes[p].flush().await?,
            Step::Sweep(p) => self.sweep(p).await?,
            Step::Check(p) => self.processes[p].check().await?,
            Step::Evict => {
                self.drain().await?;
                self.stores.evict(":user:").await;
                self.stores.evict(":session:").await;
            }
            Step::Crash(p) => {
                self.processes[p] = self.stores.stepped().await;
                self.orphans = true;
            }
            Step::LoseRedis => {
                self.one_fault_at_a_time().await?;
                self.stores.empty_redis().await;
                self.others_flush().await?;
            }
            Step::Remember => self.picture = self.stores.picture().await,
            Step::Rewind => {
                self.one_fault_at_a_time().await?;
                let picture = std::mem::take(&mut self.picture);
                self.stores.rewind(picture).await;
                self.others_flush().await?;
            }
            Step::Wait => self.stores.clock.advance(Duration::from_secs(3)),
        }
        Ok(())
    }

    async fn register(&mut self, p: usize, u: usize) -> Result<(), Error> {
        if self.expected.users.contains_key(&u) {
            // The name is taken, whatever was lost meanwhile.
            let rival = self.stores.user(&format!("u{u}"));
            let claim = self.processes[p]
                .claim(rival.id, &records::names(&rival))
                .await;
            let taken = match claim {
                Err(Error::Taken(_)) => true,
                Ok(claim) => {
                    let taken = matches!(claim.check().await, Err(Error::Taken(_)));
                    claim.release().await;
                    taken
                }
                Err(error) => return Err(error),
            };
            // PostgreSQL can only tell of those that have reached it.
            assert!(taken || self.pending().await, "the name of u{u} is free");
            return Ok(());
        }
        let user = self.stores.user(&format!("u{u}"));
        let claim = self.processes[p]
            .claim(user.id, &records::names(&user))
            .await?;
        claim.check().await?;
        let _ = records::add(&self.processes[p], &self.stores, &user).await?;
        claim.keep().await;
        self.expected.users.insert(u, user);
        Ok(())
    }

    async fn grant(&mut self, p: usize, u: usize) -> Result<(), Error> {
        let Some(user) = self.expected.users.get_mut(&u) else {
            return Ok(());
        };
        let (epoch, _) = records::bump(&self.processes[p], user.id).await?;
        user.device_epoch += 1;
        assert_eq!(epoch, user.device_epoch, "a grant builds on all before it");
        Ok(())
    }

    async fn consume_twice(&mut self, u: usize) -> Result<(), Error> {
        let Some(user) = self.expected.users.get_mut(&u) else {
            return Ok(());
        };
        let code = user.session_epoch;
        let consume = |store: Store| {
            let id = user.id;
            async move {
                let consumed = store.transact(Class::Restrict, id, |user: Option<User>, draft| {
                    let mut user = user.expect("acknowledged");
                    let fits = user.session_epoch == code;
                    if fits {
                        user.session_epoch += 1;
                        draft.put(&user);
                    }
                    Ok::<_, Error>(fits)
                });
                consumed.await.map(|(fits, _)| fits)
            }
        };
        let (one, two) = tokio::join!(
            consume(self.processes[0].clone()),
            consume(self.processes[1].clone())
        );
        assert_eq!(
            usize::from(one?) + usize::from(two?),
            1,
            "a code is consumed exactly once"
        );
        user.session_epoch += 1;
        Ok(())
    }

    async fn open(&mut self, p: usize, u: usize) -> Result<(), Error> {
        let Some(user) = self.expected.users.get(&u) else {
            return Ok(());
        };
        let (id, _) = records::open_session(&self.processes[p], &self.stores, user).await?;
        self.expected.open.entry(u).or_default().push(id);
        Ok(())
    }

    async fn end(&mut self, p: usize, u: usize) -> Result<(), Error> {
        let Some(id) = self.expected.open.get_mut(&u).and_then(Vec::pop) else {
            return Ok(());
        };
        let now = self.stores.clock.now();
        let ended = self.processes[p].transact(Class::Restrict, id, |session, draft| {
            let mut session = session.expect("acknowledged");
            session.end(now);
            draft.put(&session);
            Ok::<_, Error>(())
        });
        let _ = ended.await?;
        self.expected.ended.insert(id);
        Ok(())
    }

    async fn sweep(&mut self, p: usize) -> Result<(), Error> {
        // Leases of the dead run out.
        self.stores.evict(":lease").await;
        while self.processes[p].sweep(Duration::ZERO).await? > 0 {}
        self.orphans = false;
        Ok(())
    }

    async fn pending(&self) -> bool {
        self.stores
            .keys()
            .await
            .iter()
            .any(|key| key.ends_with(":pend"))
    }

    /// The promise holds for one loss at a time: entries of a dead process are swept before Redis dies.
    async fn one_fault_at_a_time(&mut self) -> Result<(), Error> {
        if self.orphans {
            self.sweep(0).await
        } else {
            Ok(())
        }
    }

    /// Every process flushes what it has within the hold. It looks for what was lost when
    /// it reconnects, which may be after somebody else has committed already.
    async fn others_flush(&mut self) -> Result<(), Error> {
        for process in &self.processes {
            process.flush().await?;
        }
        self.unsettled = true;
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        for process in &self.processes {
            process.check().await?;
        }
        self.unsettled = false;
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), Error> {
        for process in &self.processes {
            process.flush().await?;
        }
        self.sweep(0).await
    }

    /// Every process reads exactly what was acknowledged.
    async fn verify(&self) -> Result<(), Error> {
        for process in &self.processes {
            for user in self.expected.users.values() {
                assert_eq!(process.read(user.id).await?.as_ref(), Some(user));
            }
            for id in self.expected.open.values().flatten() {
                let session = process.read(*id).await?.expect("an open session is there");
                assert!(session.deleted_at.is_none(), "an open session is open");
            }
            for id in &self.expected.ended {
                let session = process.read(*id).await?;
                assert!(
                    session.is_none_or(|session| session.deleted_at.is_some()),
                    "ended is ended"
                );
            }
        }
        Ok(())
    }

    /// After quiescence PostgreSQL alone tells the same story.
    async fn verify_postgres(&mut self) -> Result<(), Error> {
        self.drain().await?;
        self.verify().await?;
        self.stores.empty_redis().await;
        self.processes = vec![self.stores.stepped().await];
        self.verify().await?;
        let users = i64::try_from(self.expected.users.len()).expect("few");
        assert_eq!(self.stores.count("SELECT count(*) FROM users").await, users);
        assert_eq!(
            self.stores
                .count("SELECT count(*) FROM audit_logs WHERE action = 'user.registered'")
                .await,
            users,
            "every acknowledged registration has its audit entry"
        );
        assert_eq!(
            self.stores.count("SELECT count(*) FROM dead_letters").await,
            0
        );
        Ok(())
    }
}

async fn play(stores: TestStores, steps: &[Step]) -> TestStores {
    let mut world = World::new(stores).await;
    for step in steps {
        let just_lost = matches!(step, Step::Rewind | Step::LoseRedis);
        world
            .take(*step)
            .await
            .unwrap_or_else(|error| panic!("{step:?}: {error}"));
        if just_lost {
            continue;
        }
        if world.unsettled {
            world
                .reconnect()
                .await
                .unwrap_or_else(|error| panic!("after {step:?}: {error}"));
        }
        world
            .verify()
            .await
            .unwrap_or_else(|error| panic!("after {step:?}: {error}"));
    }
    world.reconnect().await.expect("check");
    world.verify_postgres().await.expect("quiescence");
    world.stores
}

fn histories(kind: Kind, cases: u32, length: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    let mut stores = runtime.block_on(TestStores::new(kind));
    stores.settings.loss_hold = Duration::ZERO;
    let stores = std::sync::Mutex::new(Some(stores));
    let mut runner = TestRunner::new(Cases {
        cases: crate::harness::cases(cases),
        failure_persistence: None,
        ..Cases::default()
    });
    let steps = proptest::collection::vec(step(), 1..length);
    let outcome = runner.run(&steps, |steps| {
        let own = stores.lock().ok().and_then(|mut stores| stores.take());
        let own = own.unwrap_or_else(|| {
            let mut fresh = runtime.block_on(TestStores::new(kind));
            fresh.settings.loss_hold = Duration::ZERO;
            fresh
        });
        let played = std::panic::AssertUnwindSafe(|| runtime.block_on(play(own, &steps)));
        match std::panic::catch_unwind(played) {
            Ok(own) => {
                *stores.lock().expect("stores") = Some(own);
                Ok(())
            }
            Err(_) => Err(TestCaseError::fail("the promise was broken; see above")),
        }
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_promise_holds_in_any_order_of_events_on_a_single_redis() {
    histories(Kind::Single, 24, 50);
}

#[test]
fn the_promise_holds_in_any_order_of_events_on_a_cluster() {
    histories(Kind::Cluster, 8, 40);
}
