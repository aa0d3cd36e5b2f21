//! A connection of its own on which Redis tells what becomes of the keys that were read on it (RESP3 client
//! tracking). In a Cluster one to each primary.
//!
//! Tracking belongs to a connection and dies with it, and the client connects anew by itself. So the connection
//! is given a name that was never used before, after tracking was switched on: as long as it answers by that
//! name it is the one that tracks. What the client does not pass on is that everything was flushed (its
//! invalidation names no key): so a key that nothing else changes must still say what it did.

use fred::clients::{Client, WithOptions};
use fred::error::{Error as RedisError, ErrorKind};
use fred::interfaces::{
    ClientInterface, ClientLike, ClusterInterface, KeysInterface, TrackingInterface,
};
use fred::types::client::{Invalidation, Toggle};
use fred::types::config::{Options, Server};
use fred::types::{ClusterHash, CustomCommand, Key, SetOptions, Value};
use fred::util::redis_keyslot;
use futures_util::future::{join_all, try_join_all};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::keys::KeySpace;
use super::{connect, refused};
use crate::clock;
use crate::config;
use crate::model::Partition;
use crate::store::Error;

/// Invalidations that wait to be looked at; when there are more, everything counts as changed. The client
/// makes eight channels of this size at once, so it costs a megabyte a thousand.
const BUFFERED: usize = 1024;

/// The connection.
#[derive(Debug)]
pub(crate) struct TrackingClient {
    client: Client,
    keys: KeySpace,
}

/// Invalidations that Redis sends.
#[derive(Debug)]
pub(crate) struct Changes(Receiver<Invalidation>);

/// Some invalidations were missed.
#[derive(Debug)]
pub(crate) struct Missed;

/// The connections that track, by the name they were given.
#[derive(Debug)]
pub(crate) struct Connections {
    name: String,
    primaries: Vec<Primary>,
}

/// A primary (`None`: the only one), and what stood there in a key that only a new incarnation or a flush changes.
#[derive(Debug)]
struct Primary {
    server: Option<Server>,
    incarnation_key: String,
    mark: Option<String>,
}

impl TrackingClient {
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

    /// Invalidations from now on.
    pub(crate) fn changes(&self) -> Changes {
        Changes(self.client.invalidation_rx())
    }

    /// Switches tracking on and names the connections.
    pub(crate) async fn begin(&self) -> Result<Connections, Error> {
        let name = format!("sallyport-{}", hex::encode(clock::random::<12>()));
        let primaries = self.primaries().into_iter();
        let begun = primaries.map(|primary| self.begin_at(primary, &name));
        let primaries = try_join_all(begun).await;
        let primaries = primaries.map_err(|error| refused("watch", &error))?;
        let connections = Connections { name, primaries };
        if self.are_still(&connections).await {
            Ok(connections)
        } else {
            Err(Error::Unavailable("redis"))
        }
    }

    async fn begin_at(&self, mut primary: Primary, name: &str) -> Result<Primary, RedisError> {
        let client = self.at(&primary);
        let prefixes = Vec::<String>::new();
        client
            .client_tracking::<(), _, _>(Toggle::On, None, prefixes, false, false, false, false)
            .await?;
        client.client_setname(name).await?;
        // Asked after the name was given: were this another connection by now, it would not track.
        let told: Value = client.client_trackinginfo().await?;
        if !tracks(&told) {
            return Err(RedisError::new(ErrorKind::Unknown, "does not track"));
        }
        // Redis of before this key was thought of has none.
        let _: Option<String> = client
            .set(
                primary.incarnation_key.as_str(),
                name,
                None,
                Some(SetOptions::NX),
                false,
            )
            .await?;
        primary.mark = client.get(primary.incarnation_key.as_str()).await?;
        Ok(primary)
    }

    /// Whether these are still the connections, all of them to primaries, and Redis has not been flushed. (A
    /// primary that was made a replica answers as before, and hears of changes late or never.)
    pub(crate) async fn are_still(&self, connections: &Connections) -> bool {
        let known = connections.primaries.iter().map(|primary| &primary.server);
        if !known.eq(self.primaries().iter().map(|primary| &primary.server)) {
            return false;
        }
        let asked = connections.primaries.iter().map(async |primary| {
            let client = self.at(primary);
            let role = CustomCommand::new_static("ROLE", ClusterHash::FirstKey, false);
            let (called, mark, role) = tokio::join!(
                client.client_getname::<Option<String>>(),
                client.get::<Option<String>, _>(primary.incarnation_key.as_str()),
                client.custom::<Vec<Value>, Value>(role, Vec::new()),
            );
            let is_primary = |role: Vec<Value>| {
                let role = role
                    .first()
                    .and_then(|role| role.as_str().map(String::from));
                role.as_deref() == Some("master")
            };
            called.is_ok_and(|called| called.as_ref() == Some(&connections.name))
                && mark.is_ok_and(|mark| mark.is_some() && mark == primary.mark)
                && role.is_ok_and(is_primary)
        });
        join_all(asked).await.into_iter().all(|still| still)
    }

    /// Reads keys of one slot, and has Redis tell of their next change.
    pub(crate) async fn read(&self, keys: Vec<String>) -> Result<Vec<Option<String>>, Error> {
        if !self.client.is_connected() {
            return Err(Error::Unavailable("redis"));
        }
        let answer = self.client.mget(keys).await;
        // Not logged: the commands beside it are.
        answer.map_err(|_| Error::Unavailable("redis"))
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
    fn primaries(&self) -> Vec<Primary> {
        let primary = |server, partition| Primary {
            server,
            incarnation_key: self.keys.incarnation(partition),
            mark: None,
        };
        let Some(routing) = self.client.cached_cluster_state() else {
            return vec![primary(None, Partition(0))];
        };
        let mut primaries: Vec<Primary> = Vec::new();
        for partition in Partition::all() {
            let slot = redis_keyslot(self.keys.incarnation(partition).as_bytes());
            let server = routing.get_server(slot).cloned();
            if server.is_some() && primaries.iter().all(|primary| primary.server != server) {
                primaries.push(primary(server, partition));
            }
        }
        primaries
    }

    /// The connection of a primary.
    fn at(&self, primary: &Primary) -> WithOptions<Client> {
        self.client.with_options(&Options {
            cluster_node: primary.server.clone(),
            ..Options::default()
        })
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
