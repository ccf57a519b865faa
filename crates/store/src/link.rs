//! Connections to the server that decides: one server, the master behind sentinels, or a cluster.
//!
//! It knows how to come to a connection and how to put one question over it. It must not know when to try again.
//! Entry points: [`Ways::open`], [`Link::decide`].

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, ClientTlsConfig, Cmd, ConnectionAddr, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisResult, TlsCertificates, Value,
};
use smallvec::SmallVec;
use tls::{Authorities, Certificate, ClientSettings};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::address::{Login, Node, Shape};
use crate::ask::{Ask, Asks, Decision, Standing};
use crate::script::{Deed, Script, read};
use crate::{Address, Trouble};

/// How long one sentinel may take: another may know.
const SENTINEL: Duration = Duration::from_millis(500);

/// Whose word is taken for who the servers are, and what is shown to them, for `rediss`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Certificates of the authorities that are trusted, in PEM; those of the system if there are none.
    pub authorities: Option<String>,
    /// A certificate with its chain, and its key, both in PEM, for servers that want one.
    pub certificate: Option<(String, String)>,
    /// The name that is asked for and verified, in place of the host. A cluster does not take it.
    pub server_name: Option<Box<str>>,
}

/// Without the key.
impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// How to come to a connection.
pub(crate) struct Ways {
    address: Address,
    tls: Option<tls::Client>,
    cluster: Option<ClusterClient>,
    queue: usize,
}

impl Ways {
    /// # Errors
    /// A certificate or key cannot be read, or there is no authority.
    pub(crate) fn new(
        address: Address,
        trust: &Trust,
        patience: Duration,
        queue: usize,
    ) -> Result<Ways, Trouble> {
        let tls = address.tls.then(|| client(trust)).transpose().map_err(|error| distrust(&error))?;
        let cluster = match &address.shape {
            Shape::Cluster(nodes) => Some(cluster(nodes, &address, trust, patience)?),
            _ => None,
        };
        Ok(Ways { address, tls, cluster, queue })
    }

    /// A new connection. It ends by itself only if the other side does: whoever calls it gives it a time.
    pub(crate) async fn open(&self, script: &Rc<Script>) -> Result<Link, Trouble> {
        let login = login(&self.address.login).set_db(i64::from(self.address.db));
        let (wire, driver) = match &self.address.shape {
            Shape::One(node) => self.open_one(node, &login).await?,
            Shape::Sentinels(nodes, name) => {
                let master = self.master(nodes, name).await?;
                self.open_one(&master, &login).await?
            }
            Shape::Unix(path) => {
                let stream = UnixStream::connect(&**path).await.map_err(|error| Trouble::of_io(&error))?;
                self.speak(stream, &login).await?
            }
            Shape::Cluster(_) => {
                let cluster = self.cluster.as_ref().ok_or(Trouble::Cluster)?;
                let connection =
                    Box::pin(cluster.get_async_connection()).await.map_err(|error| trouble(&error))?;
                return Ok(Link { wire: Wire::Many(connection), driver: None, script: Rc::clone(script) });
            }
        };
        Ok(Link { wire: Wire::One(wire), driver: Some(driver), script: Rc::clone(script) })
    }

    async fn open_one(
        &self,
        node: &Node,
        login: &RedisConnectionInfo,
    ) -> Result<(MultiplexedConnection, Driver), Trouble> {
        let address = (&*node.host, node.port);
        let mut found = tokio::net::lookup_host(address).await.map_err(|_| Trouble::Resolve)?.peekable();
        if found.peek().is_none() {
            return Err(Trouble::Resolve);
        }
        let mut refused = Trouble::Resolve;
        for address in found {
            match TcpStream::connect(address).await {
                Ok(stream) => return self.greet(node, stream, login).await,
                Err(error) => refused = Trouble::of_io(&error),
            }
        }
        Err(refused)
    }

    async fn greet(
        &self,
        node: &Node,
        stream: TcpStream,
        login: &RedisConnectionInfo,
    ) -> Result<(MultiplexedConnection, Driver), Trouble> {
        // Decisions are small, and somebody waits for each.
        stream.set_nodelay(true).map_err(|error| Trouble::of_io(&error))?;
        let Some(tls) = &self.tls else { return self.speak(stream, login).await };
        let name = tls.name_for(&node.host).map_err(|error| Trouble::Tls(error.to_string()))?;
        let connector = TlsConnector::from(std::sync::Arc::clone(tls.config()));
        let stream = connector.connect(name, stream).await.map_err(|error| Trouble::of_io(&error))?;
        self.speak(stream, login).await
    }

    async fn speak<S>(
        &self,
        stream: S,
        login: &RedisConnectionInfo,
    ) -> Result<(MultiplexedConnection, Driver), Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Whoever asks has a clock of its own.
        let config =
            AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(self.queue);
        let opened = MultiplexedConnection::new_with_config(login, stream, config).await;
        let (connection, driver) = opened.map_err(|error| trouble(&error))?;
        Ok((connection, Driver(tokio::task::spawn_local(driver))))
    }

    /// The server that the first sentinel which answers calls the master.
    async fn master(&self, sentinels: &[Node], name: &str) -> Result<Node, Trouble> {
        let login = login(&self.address.sentinel_login);
        let mut why = Trouble::NoMaster;
        for sentinel in sentinels {
            let asked = async {
                let (mut connection, _driver) = self.open_one(sentinel, &login).await?;
                let mut question = redis::cmd("SENTINEL");
                question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
                let answer: Option<(String, u16)> =
                    question.query_async(&mut connection).await.map_err(|error| trouble(&error))?;
                answer.map(|(host, port)| Node { host: host.into(), port }).ok_or(Trouble::NoMaster)
            };
            match timeout(SENTINEL, asked).await.unwrap_or(Err(Trouble::Timeout)) {
                Ok(master) => return Ok(master),
                Err(trouble) => why = trouble,
            }
        }
        Err(why)
    }
}

fn client(trust: &Trust) -> Result<tls::Client, tls::Error> {
    let authorities = match &trust.authorities {
        Some(pem) => Authorities::from_pem(pem)?,
        None => Authorities::of_system()?,
    };
    let certificate = trust.certificate.as_ref().map(|(chain, key)| Certificate::from_pem(chain, key));
    let certificate = certificate.transpose()?;
    let server_name = trust.server_name.clone();
    tls::Client::new(ClientSettings { authorities, certificate, server_name, ..ClientSettings::default() })
}

/// The library connects by itself here, since it alone knows where to.
fn cluster(
    nodes: &[Node],
    address: &Address,
    trust: &Trust,
    patience: Duration,
) -> Result<ClusterClient, Trouble> {
    let mut infos = Vec::with_capacity(nodes.len());
    for node in nodes {
        let (host, port) = (node.host.to_string(), node.port);
        let at = if address.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = at.into_connection_info().map_err(|_| unusable())?;
        infos.push(info.set_redis_settings(login(&address.login)));
    }
    let mut builder = ClusterClientBuilder::new(infos)
        .retries(2)
        .min_retry_wait(1)
        .max_retry_wait(20)
        .connection_timeout(SENTINEL)
        .response_timeout(patience);
    if address.tls {
        let client_tls = trust.certificate.clone().map(|(chain, key)| ClientTlsConfig {
            client_cert: chain.into_bytes(),
            client_key: key.into_bytes(),
        });
        let root_cert = trust.authorities.clone().map(String::into_bytes);
        builder = builder.certs(TlsCertificates { client_tls, root_cert });
    }
    builder.build().map_err(|_| unusable())
}

fn unusable() -> Trouble {
    Trouble::Tls("the certificates cannot be used for a cluster".to_owned())
}

fn distrust(error: &tls::Error) -> Trouble {
    let step = error.next_step().map(|step| format!(": {step}")).unwrap_or_default();
    Trouble::Tls(format!("{error}{step}"))
}

fn login(login: &Login) -> RedisConnectionInfo {
    // What every server speaks; the script needs no more.
    let mut info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2);
    if let Some(user) = &login.user {
        info = info.set_username(&**user);
    }
    if let Some(password) = &login.password {
        info = info.set_password(password.as_str());
    }
    info
}

/// Of what is not a question to the script.
fn trouble(error: &redis::RedisError) -> Trouble {
    Trouble::of(error).unwrap_or(Trouble::Answer)
}

/// Reads and writes for a connection, until it is dropped.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

enum Wire {
    One(MultiplexedConnection),
    Many(ClusterConnection),
}

/// A connection. Questions that are put at the same time share it, and its writes.
pub(crate) struct Link {
    wire: Wire,
    driver: Option<Driver>,
    script: Rc<Script>,
}

impl Link {
    /// Whether the other side has ended it, as far as that shows by itself.
    pub(crate) fn is_over(&self) -> bool {
        self.driver.as_ref().is_some_and(|driver| driver.0.is_finished())
    }

    /// Ends what is under way over it.
    pub(crate) fn close(&self) {
        if let Some(driver) = &self.driver {
            driver.0.abort();
        }
    }

    /// Charges all or none, also where no single server keeps them all.
    pub(crate) async fn decide(&self, deed: Deed, asks: &[Ask<'_>]) -> Result<Decision, Trouble> {
        let first = asks.first().map(|ask| ask.identity);
        let together = asks.iter().all(|ask| Some(ask.identity) == first);
        match self.wire {
            Wire::Many(_) if !together => Box::pin(self.decide_apart(deed, asks)).await,
            _ => self.call(deed, asks).await,
        }
    }

    /// Identity by identity. Once one refuses, the rest is only looked at, and what was charged is given back: for
    /// that moment others may be refused although they would fit, but never the other way round.
    async fn decide_apart(&self, deed: Deed, asks: &[Ask<'_>]) -> Result<Decision, Trouble> {
        let mut whole = Decision { allowed: true, each: SmallVec::new(), unix_us: 0 };
        whole.each.resize(asks.len(), Standing::default());
        let mut charged = SmallVec::<[[u8; 16]; 4]>::new();
        let mut failed = None;
        for (at, ask) in asks.iter().enumerate() {
            if asks.iter().take(at).any(|other| other.identity == ask.identity) {
                continue;
            }
            let deed = if whole.allowed || deed != Deed::Decide { deed } else { Deed::Look };
            match self.part(deed, ask.identity, asks, &mut whole).await {
                Ok(true) if deed == Deed::Decide => charged.push(ask.identity),
                Ok(allowed) => whole.allowed &= allowed,
                Err(trouble) => {
                    failed = Some(trouble);
                    break;
                }
            }
        }
        if failed.is_some() || !whole.allowed {
            // What was ahead of need goes back too, and is not there any more.
            let mut back: Asks<'_> = asks.iter().copied().collect();
            for (ask, standing) in back.iter_mut().zip(&mut whole.each) {
                ask.cost = if std::mem::take(&mut standing.ahead) { ask.all() } else { ask.cost };
            }
            for identity in charged {
                self.part(Deed::GiveBack, identity, &back, &mut whole).await?;
            }
        }
        failed.map_or(Ok(whole), Err)
    }

    /// The limits of one identity. Writes how they stand, and says whether they allow it.
    async fn part(
        &self,
        deed: Deed,
        identity: [u8; 16],
        asks: &[Ask<'_>],
        whole: &mut Decision,
    ) -> Result<bool, Trouble> {
        let own = |ask: &&Ask<'_>| ask.identity == identity;
        let part: Asks<'_> = asks.iter().filter(own).copied().collect();
        let decision = self.call(deed, &part).await?;
        whole.unix_us = decision.unix_us;
        let places = whole.each.iter_mut().zip(asks).filter(|(_, ask)| ask.identity == identity);
        for ((to, _), from) in places.zip(decision.each) {
            *to = from;
        }
        Ok(decision.allowed)
    }

    /// One call of the script.
    async fn call(&self, deed: Deed, asks: &[Ask<'_>]) -> Result<Decision, Trouble> {
        let answer = match self.put(&self.script.by_digest(deed, asks)).await {
            Ok(answer) => answer,
            Err(error) => match Trouble::of(&error) {
                Some(trouble) => return Err(trouble),
                // The server was restarted, or somebody has emptied its memory of scripts.
                None => {
                    let again = self.put(&Script::in_full(deed, asks)).await;
                    again.map_err(|error| trouble(&error))?
                }
            },
        };
        read(&answer, asks)
    }

    async fn put(&self, command: &Cmd) -> RedisResult<Value> {
        match &self.wire {
            Wire::One(connection) => command.query_async(&mut connection.clone()).await,
            Wire::Many(connection) => Box::pin(command.query_async(&mut connection.clone())).await,
        }
    }
}
