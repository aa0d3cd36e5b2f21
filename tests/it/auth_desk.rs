//! The use cases over real stores, with cheap hashes and a clock that tests move.

use std::sync::Arc;

use sallyport::auth::{
    Asked, Auth, Caller, Client, Credentials, Error, Language, LoginOutcome, Refreshed,
    Registration, Settings, SignedIn,
};
use sallyport::clock::Clock;
use sallyport::config;
use sallyport::crypto::{HashPool, Keys};
use sallyport::model::Password;
use sallyport::outbound::Outbound;
use sallyport::store::Store;

use crate::lab::{Kind, Lab};

pub const PASSWORD: &str = "SecurePass123!";
pub const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A whole `auth` over stores of its own.
pub struct Desk {
    pub lab: Lab,
    pub store: Store,
    pub auth: Arc<Auth>,
    pub clock: Clock,
    pub pool: HashPool,
    pub outbound: Arc<Outbound>,
    keys: tempfile::TempDir,
    settings: Settings,
}

/// The cheapest Argon2 that is allowed.
pub fn cheap() -> config::Hashing {
    config::Hashing {
        memory_kib: 8,
        iterations: 1,
        ..config::Hashing::default()
    }
}

impl Desk {
    pub async fn open() -> Self {
        Self::on(Kind::Single).await
    }

    pub async fn on(kind: Kind) -> Self {
        Self::with(kind, Settings::default()).await
    }

    /// With limits so wide that they are not in the way.
    pub async fn unlimited() -> Self {
        let mut settings = Settings::default();
        settings.limits.enabled = false;
        Self::with(Kind::Single, settings).await
    }

    pub async fn with(kind: Kind, settings: Settings) -> Self {
        Self::sending(kind, settings, &config::Outbound::default()).await
    }

    /// With a way for letters to leave.
    pub async fn sending(kind: Kind, settings: Settings, outbound: &config::Outbound) -> Self {
        let lab = Lab::new(kind).await;
        let store = lab.running().await;
        Self::over(lab, store, settings, outbound)
    }

    /// Over a store that brings nothing to PostgreSQL by itself.
    pub async fn stepped(settings: Settings, outbound: &config::Outbound) -> Self {
        let lab = Lab::new(Kind::Single).await;
        let store = lab.stepped().await;
        Self::over(lab, store, settings, outbound)
    }

    fn over(lab: Lab, store: Store, settings: Settings, outbound: &config::Outbound) -> Self {
        let outbound = Arc::new(Outbound::new(outbound).expect("outbound"));
        let keys = tempfile::tempdir().expect("folder");
        let (path, now) = (keys.path().join("keys"), lab.clock.now());
        Keys::generate(&path, now).expect("keys");
        let pool = HashPool::start(&cheap()).expect("pool");
        let keys_in_use = Keys::load(&path).expect("keys");
        let auth = Auth::new(
            store.clone(),
            pool.clone(),
            &keys_in_use,
            Arc::clone(&outbound),
            lab.clock.clone(),
            settings.clone(),
        );
        Self {
            clock: lab.clock.clone(),
            auth: Arc::new(auth),
            pool,
            outbound,
            store,
            lab,
            keys,
            settings,
        }
    }

    /// Goes on as after a restart: with whatever keys, parameters and settings there are by now.
    pub fn restart(&mut self) {
        self.auth = Arc::new(Auth::new(
            self.store.clone(),
            self.pool.clone(),
            &Keys::load(&self.keys_file()).expect("keys"),
            Arc::clone(&self.outbound),
            self.clock.clone(),
            self.settings.clone(),
        ));
    }

    pub fn keys_file(&self) -> std::path::PathBuf {
        self.keys.path().join("keys")
    }

    /// Goes on with other parameters for passwords, as after a change of configuration.
    pub fn hash_with(&mut self, hashing: &config::Hashing) {
        self.pool = HashPool::start(hashing).expect("pool");
        self.restart();
    }

    pub async fn register(&self, name: &str) -> SignedIn {
        let input = registration(name);
        self.auth
            .register(&curl(), input)
            .await
            .expect("registered")
    }

    pub async fn login(&self, name: &str, password: &str) -> Result<SignedIn, Error> {
        self.login_from(&curl(), name, password).await
    }

    pub async fn login_from(
        &self,
        client: &Client,
        name: &str,
        password: &str,
    ) -> Result<SignedIn, Error> {
        let input = Credentials {
            identifier: name.to_owned(),
            password: secret(password),
            device_token: None,
        };
        match self.auth.login(client, input).await? {
            LoginOutcome::SignedIn(signed_in) => Ok(*signed_in),
            LoginOutcome::SecondFactorDue(_) => panic!("a second factor is due"),
        }
    }

    pub async fn caller(&self, access_token: &str) -> Result<Caller, Error> {
        self.auth.authenticate(&curl(), access_token, true).await
    }

    pub async fn refresh(&self, token: &str) -> Result<Refreshed, Error> {
        self.auth.refresh(&curl(), token).await
    }

    /// How many audit entries PostgreSQL has of an action, once everything is there.
    pub async fn audited(&self, action: &'static str) -> i64 {
        self.store.flush().await.expect("flushed");
        sqlx::query_scalar("SELECT count(*) FROM audit_logs WHERE action = $1")
            .bind(action)
            .fetch_one(&self.lab.pool)
            .await
            .expect("counted")
    }
}

pub fn secret(text: &str) -> Password {
    Password::new(text.to_owned())
}

pub fn registration(name: &str) -> Registration {
    Registration {
        email: format!("{name}@example.com"),
        username: name.to_owned(),
        password: secret(PASSWORD),
    }
}

pub fn curl() -> Client {
    from("192.0.2.1", "curl/8")
}

pub fn from(address: &str, user_agent: &str) -> Client {
    Client {
        address: address.parse().expect("address"),
        user_agent: user_agent.to_owned(),
        request_id: "test".to_owned(),
        language: Language::default(),
        verdicts: Asked::default(),
    }
}
