//! A connection of its own on which Redis tells what becomes of the keys that were read on it (RESP3 client
//! tracking). In a Cluster one to each primary.
//!
//! Tracking belongs to a connection and dies with it, and the client connects anew by itself. So the connection
//! is given a name that was never used before, after tracking was switched on: as long as it answers by that
//! name it is the one that tracks. What the client does not pass on is that everything was flushed (its
//! invalidation names no key): so a key that always exists must still be there, too.

use fred::clients::{Client, WithOptions};
use fred::interfaces::{
    ClientInterface, ClientLike, ClusterInterface, KeysInterface, TrackingInterface,
};
use fred::types::client::{Invalidation, Toggle};
use fred::types::config::Server;
use fred::types::{Key, Value};
use fred::util::redis_keyslot;
use futures_util::future::{join_all, try_join_all};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::super::Error;
use super::keys::KeySpace;
use super::{connect, refused};
use crate::config;
use crate::model::Partition;

/// Invalidations that wait to be looked at; when there are more, everything counts as changed.
const BUFFERED: usize = 16 * 1024;

/// The connection.
#[derive(Debug)]
pub(crate) struct Watcher {
    client: Client,
    keys: KeySpace,
}

/// What Redis tells.
#[derive(Debug)]
pub(crate) struct Changes(Receiver<Invalidation>);

/// Some of it was missed.
#[derive(Debug)]
pub(crate) struct Missed;

/// A primary, and a partition that lives there.
#[derive(Debug)]
struct Post {
    client: WithOptions<Client>,
    meta: String,
}

impl Watcher {
    /// Not connected yet.
    pub(crate) fn new(settings: &config::Redis) -> Result<Self, Error> {
        let mut builder = connect::builder(settings)?;
        builder.with_performance_config(|performance| {
            performance.default_command_timeout = settings.timeout;
            performance.broadcast_channel_capacity = BUFFERED;
        });
        let client = builder
            .build()
            .map_err(|error| Error::Setup(format!("REDIS_URL: {error}")))?;
        Ok(Self {
            client,
            keys: KeySpace::new(&settings.prefix),
        })
    }

    /// Begins to connect. Nobody waits for it.
    pub(crate) fn connect(&self) {
        let _task = self.client.connect();
    }

    /// What is told from now on.
    pub(crate) fn changes(&self) -> Changes {
        Changes(self.client.invalidation_rx())
    }

    /// Switches tracking on and names the connections.
    pub(crate) async fn begin(&self, name: &str) -> Result<(), Error> {
        let begun = self.posts().into_iter().map(async |post| {
            let client = &post.client;
            client
                .client_tracking::<(), _, _>(
                    Toggle::On,
                    None,
                    Vec::<String>::new(),
                    false,
                    false,
                    false,
                    false,
                )
                .await?;
            client.client_setname(name).await?;
            // Asked after the name was given: were this another connection by now, it would not track.
            let told: Value = client.client_trackinginfo().await?;
            Ok(tracks(&told))
        });
        let begun = try_join_all(begun).await;
        let begun = begun.map_err(|error| refused("watch", &error))?;
        if begun.iter().all(|tracking| *tracking) && self.is_still(name).await {
            Ok(())
        } else {
            Err(Error::Unavailable("redis"))
        }
    }

    /// Whether every connection is still the one that was named so, and Redis has not been flushed.
    pub(crate) async fn is_still(&self, name: &str) -> bool {
        let asked = self.posts().into_iter().map(async |post| {
            let (called, exists) = tokio::join!(
                post.client.client_getname::<Option<String>>(),
                post.client.exists::<i64, _>(post.meta.as_str()),
            );
            matches!(called, Ok(Some(called)) if called == name) && matches!(exists, Ok(1))
        });
        let answers = join_all(asked).await;
        !answers.is_empty() && answers.into_iter().all(|still| still)
    }

    /// Reads keys of one slot, and has Redis tell of their next change.
    pub(crate) async fn read(&self, keys: Vec<String>) -> Result<Vec<Option<String>>, Error> {
        if !self.client.is_connected() {
            return Err(Error::Unavailable("redis"));
        }
        let answer = self.client.mget(keys).await;
        answer.map_err(|error| refused("watch", &error))
    }

    /// The keys that it reads.
    pub(crate) fn keys(&self) -> &KeySpace {
        &self.keys
    }

    /// Closes the connection.
    pub(crate) async fn quit(&self) {
        let _ = self.client.quit().await;
    }

    /// Every primary that holds one of our partitions.
    fn posts(&self) -> Vec<Post> {
        let Some(routing) = self.client.cached_cluster_state() else {
            let everywhere = self
                .client
                .with_options(&fred::types::config::Options::default());
            return vec![self.post(everywhere, Partition(0))];
        };
        let mut posts: Vec<(Server, Post)> = Vec::new();
        for partition in Partition::all() {
            let slot = redis_keyslot(self.keys.meta(partition).as_bytes());
            let Some(server) = routing.get_server(slot) else {
                continue;
            };
            if posts.iter().all(|(known, _)| known != server) {
                let client = self.client.with_cluster_node(server.clone());
                posts.push((server.clone(), self.post(client, partition)));
            }
        }
        posts.into_iter().map(|(_, post)| post).collect()
    }

    fn post(&self, client: WithOptions<Client>, partition: Partition) -> Post {
        Post {
            client,
            meta: self.keys.meta(partition),
        }
    }
}

impl Changes {
    /// The next keys that changed.
    ///
    /// # Errors
    /// [`Missed`]: then any key may have changed.
    pub(crate) async fn next(&mut self) -> Result<Vec<Key>, Missed> {
        match self.0.recv().await {
            Ok(told) => Ok(told.keys),
            Err(RecvError::Lagged(_) | RecvError::Closed) => Err(Missed),
        }
    }

    /// Keys of which it was told already; `None` when there are no more.
    ///
    /// # Errors
    /// As [`Changes::next`].
    pub(crate) fn at_hand(&mut self) -> Result<Option<Vec<Key>>, Missed> {
        match self.0.try_recv() {
            Ok(told) => Ok(Some(told.keys)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => Err(Missed),
        }
    }
}

/// Whether `CLIENT TRACKINGINFO` says that the connection tracks what it reads.
fn tracks(told: &Value) -> bool {
    let Ok(told) = told.clone().into_map() else {
        return false;
    };
    let flags = told.get(&Key::from("flags")).cloned();
    let flags = flags.map(Value::into_array).unwrap_or_default();
    flags
        .iter()
        .any(|flag| flag.as_str().as_deref() == Some("on"))
}
