//! A connection of its own on which Redis tells what becomes of the keys that were read on it (RESP3 client
//! tracking). In a Cluster one to each primary.
//!
//! Tracking belongs to a connection and dies with it, and the client connects anew by itself. So the connection
//! is given a name that was never used before, after tracking was switched on: as long as it answers by that
//! name it is the one that tracks. What the client does not pass on is that everything was flushed (its
//! invalidation names no key): so a key that nothing else changes must still say what it did.
//!
//! Records are read on the client whose connections track, also when it has been replaced meanwhile: then the read
//! fails.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

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
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::connect;
use super::failure::refused;
use super::keys::KeySpace;
use super::supervised_client::{LeasedClient, SupervisedClient};
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
    client: SupervisedClient,
    /// Signalled with every new connection.
    connected: Arc<Notify>,
    /// The client that tracks, or did last.
    tracking: RwLock<LeasedClient>,
    /// The answer with which Redis forbade to track, while it does.
    forbidden: Mutex<Option<String>>,
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
    leased: LeasedClient,
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
        let connected = Arc::new(Notify::new());
        let client = SupervisedClient::new(builder, settings.timeout, Arc::clone(&connected))?;
        Ok(Self {
            tracking: RwLock::new(client.present()),
            client,
            connected,
            forbidden: Mutex::default(),
            keys: KeySpace::new(&settings.prefix),
        })
    }

    /// Begins to connect. Nobody waits for it.
    pub(crate) fn connect(&self) {
        self.client.connect();
    }

    /// Completes after the next time that a connection was made.
    pub(crate) async fn connected(&self) {
        self.connected.notified().await;
    }

    /// A note for operators while Redis forbids to track.
    pub(crate) fn note(&self) -> Option<String> {
        self.forbidden().as_ref().map(|answer| {
            format!(
                "Redis does not let this user watch keys (CLIENT TRACKING, CLIENT TRACKINGINFO, CLIENT SETNAME, \
                 CLIENT GETNAME, ROLE), so every check of a session asks it: {answer}"
            )
        })
    }

    /// Switches tracking on and names the connections. Gives them, and what they tell of from now on.
    pub(crate) async fn begin(&self) -> Result<(Connections, Changes), Error> {
        let leased = self.client.present();
        let client = &leased.client;
        if !client.is_connected() {
            return Err(Error::Unavailable("redis"));
        }
        let changes = Changes(client.invalidation_rx());
        let tracking = self.tracking.write();
        *tracking.unwrap_or_else(PoisonError::into_inner) = leased.clone();
        let name = format!("sallyport-{}", hex::encode(clock::random::<12>()));
        let primaries = self.primaries(client).into_iter();
        let begun = primaries.map(|primary| begin_at(client, primary, &name));
        let primaries = try_join_all(begun).await;
        let primaries = primaries.map_err(|error| self.note_refusal(&error))?;
        let connections = Connections {
            leased,
            name,
            primaries,
        };
        if self.are_still(&connections).await {
            *self.forbidden() = None;
            Ok((connections, changes))
        } else {
            Err(Error::Unavailable("redis"))
        }
    }

    /// Notes that Redis forbids to track; told once, since nothing but the access list will change it.
    fn note_refusal(&self, error: &RedisError) -> Error {
        let answer = error.details();
        if !answer.starts_with("NOPERM") && !answer.starts_with("ERR unknown") {
            return refused("watch", error);
        }
        let before = self.forbidden().replace(answer.to_owned());
        if before.is_none()
            && let Some(note) = self.note()
        {
            tracing::warn!("{note}");
        }
        Error::Unavailable("redis")
    }

    fn forbidden(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        let forbidden = self.forbidden.lock();
        forbidden.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether these are still the connections, all of them to primaries, and Redis has not been flushed. (A
    /// primary that was made a replica answers as before, and hears of changes late or never.)
    pub(crate) async fn are_still(&self, connections: &Connections) -> bool {
        let known = connections.primaries.iter().map(|primary| &primary.server);
        let present = self.primaries(&connections.leased.client);
        if !known.eq(present.iter().map(|primary| &primary.server)) {
            return false;
        }
        let asked = connections.primaries.iter().map(async |primary| {
            let client = at(&connections.leased.client, primary);
            let (called, mark, role) = tokio::join!(
                client.client_getname::<Option<String>>(),
                client.get::<Option<String>, _>(primary.incarnation_key.as_str()),
                client.custom::<Vec<Value>, Value>(role(), Vec::new()),
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
        let still = join_all(asked).await.into_iter().all(|still| still);
        still && connections.leased.is_primary().await
    }

    /// Reads keys of one slot, and has Redis tell of their next change.
    pub(crate) async fn read(&self, keys: Vec<String>) -> Result<Vec<Option<String>>, Error> {
        let tracking = self.tracking.read();
        let leased = tracking.unwrap_or_else(PoisonError::into_inner).clone();
        if !leased.client.is_connected() {
            return Err(Error::Unavailable("redis"));
        }
        let answer = leased.client.mget(keys).await;
        // Not logged: the commands beside it are.
        answer.map_err(|_| Error::Unavailable("redis"))
    }

    /// The keys that it reads.
    pub(crate) fn keys(&self) -> &KeySpace {
        &self.keys
    }

    /// Closes the connection.
    pub(crate) fn close(&self) {
        self.client.close();
    }

    /// Every primary that holds one of our partitions.
    fn primaries(&self, client: &Client) -> Vec<Primary> {
        let primary = |server, partition| Primary {
            server,
            incarnation_key: self.keys.incarnation(partition),
            mark: None,
        };
        let Some(routing) = client.cached_cluster_state() else {
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
}

/// Has one server track, and gives its connection the name.
async fn begin_at(
    client: &Client,
    mut primary: Primary,
    name: &str,
) -> Result<Primary, RedisError> {
    let client = at(client, &primary);
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
    let _: Value = client.custom(role(), Vec::<Value>::new()).await?;
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

/// The question to a server whether it is a primary.
fn role() -> CustomCommand {
    CustomCommand::new_static("ROLE", ClusterHash::FirstKey, false)
}

/// The connection of a primary.
fn at(client: &Client, primary: &Primary) -> WithOptions<Client> {
    client.with_options(&Options {
        cluster_node: primary.server.clone(),
        ..Options::default()
    })
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
