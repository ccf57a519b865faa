//! The side of a listener that speaks QUIC, in one worker: it accepts connections, and says over HTTP/1.1 and HTTP/2
//! that it is there.
//!
//! It is opened once for each listener and stays open for as long as that does: reloads change what it presents and
//! what holds for new connections, and switch it off and on.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use message::{ResponseHead, Version};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TransportConfig};
use snapshot::Listener;

use crate::http3;
use crate::listener::{LiveListener, OpenConnection};
use crate::udp::{OnWorker, StagedUdp};
use crate::worker::Worker;

/// How much of a body a client may send ahead on one stream, and on all of them together, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How much is kept of what was sent until the client says that it has it, for each connection, in bytes.
const SEND_WINDOW: u64 = 1024 * 1024;
/// Streams of one direction that a client may have open: three have a use, the others are passed over.
const ONE_WAY_STREAMS: u32 = 8;
/// How long a client may be silent before it counts as gone.
const SILENCE: Duration = Duration::from_secs(60);
/// How often a client that is silent is asked: requests may take long, and paths through networks are forgotten.
const ASK_EVERY: Duration = Duration::from_secs(20);
/// From so many unfinished handshakes of a worker on, clients must show that their address is their own before anything
/// is kept for them (RFC 9000 §8.1.2).
const UNFINISHED: usize = 64;
/// How many connections may wait to be looked at, and how much of what they send is kept meanwhile, in bytes.
const MOST_WAITING: usize = 1024;
const WAITING_BYTES: u64 = 16 * 1024;
const ALL_WAITING_BYTES: u64 = 4 * 1024 * 1024;
/// How long clients may rely on what they were told about HTTP/3, in seconds.
const MAX_AGE: u32 = 86_400;

/// The QUIC side of a listener in a worker.
pub(crate) struct QuicSide {
    endpoint: Endpoint,
    config: RefCell<ServerConfig>,
    on: Cell<bool>,
    /// What Alt-Svc says (RFC 7838 §3).
    alternative: Box<[u8]>,
    unfinished: Cell<usize>,
    closing: Cell<bool>,
    acceptor: RefCell<Option<Waker>>,
}

impl QuicSide {
    /// Opens it, for these settings. Has to be called on the worker.
    ///
    /// # Errors
    /// The socket cannot be used, or the settings do not allow QUIC.
    pub(crate) fn open(udp: StagedUdp, settings: &Listener) -> io::Result<QuicSide> {
        let tls = settings.tls.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
        let config = server_config(settings)?;
        let (socket, identifiers) = udp.open(Arc::clone(tls.config().crypto_provider()))?;
        let mut endpoint_config = EndpointConfig::default();
        endpoint_config.cid_generator(move || Box::new(identifiers.clone()));
        let endpoint = Endpoint::new_with_abstract_socket(
            endpoint_config,
            Some(config.clone()),
            socket,
            Arc::new(OnWorker),
        )?;
        let port = endpoint.local_addr()?.port();
        Ok(QuicSide {
            endpoint,
            config: RefCell::new(config),
            on: Cell::new(true),
            alternative: format!("h3=\":{port}\"; ma={MAX_AGE}").into_bytes().into(),
            unfinished: Cell::new(0),
            closing: Cell::new(false),
            acceptor: RefCell::default(),
        })
    }

    /// From now on these settings hold for new connections.
    pub(crate) fn set(&self, settings: &Listener) {
        let fresh = if settings.protocols.http3 { server_config(settings).ok() } else { None };
        self.on.set(fresh.is_some());
        let config = fresh.map(|fresh| {
            // The key of the tokens that prove addresses stays.
            let mut config = self.config.borrow_mut();
            config.crypto = fresh.crypto;
            config.transport = fresh.transport;
            config.clone()
        });
        self.endpoint.set_server_config(config);
    }

    /// Accepts no more.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        if let Some(waker) = self.acceptor.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Tells a client that comes over an older version that there is a newer one.
    pub(crate) fn announce(&self, version: Version, response: &mut ResponseHead) {
        let knows = matches!(version, Version::Http3 | Version::Http10);
        if self.on.get() && !knows && response.headers.values(b"alt-svc").next().is_none() {
            response.headers.push(b"alt-svc", &self.alternative);
        }
    }

    /// A handshake has begun; it counts as unfinished until the result is dropped.
    pub(crate) fn begin_handshake(self: &Rc<Self>) -> Unfinished {
        self.unfinished.set(self.unfinished.get() + 1);
        Unfinished(Rc::clone(self))
    }

    async fn next(&self) -> Option<Incoming> {
        let mut accepting = pin!(self.endpoint.accept());
        poll_fn(|cx| {
            if self.closing.get() {
                return Poll::Ready(None);
            }
            let polled = accepting.as_mut().poll(cx);
            if polled.is_pending() {
                *self.acceptor.borrow_mut() = Some(cx.waker().clone());
            }
            polled
        })
        .await
    }
}

/// A handshake that has begun.
pub(crate) struct Unfinished(Rc<QuicSide>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.unfinished.set(self.0.unfinished.get().saturating_sub(1));
    }
}

/// What holds for new connections.
fn server_config(settings: &Listener) -> io::Result<ServerConfig> {
    let tls = settings.tls.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
    let crypto = QuicServerConfig::try_from(tls.quic_config()).map_err(io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(settings.limits.streams.into())
        .max_concurrent_uni_streams(ONE_WAY_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        .max_idle_timeout(IdleTimeout::try_from(SILENCE).ok())
        .keep_alive_interval(Some(ASK_EVERY))
        .datagram_receive_buffer_size(None);
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(MOST_WAITING)
        .incoming_buffer_size(WAITING_BYTES)
        .incoming_buffer_size_total(ALL_WAITING_BYTES);
    Ok(config)
}

/// Accepts connections until the listener closes.
pub(crate) async fn accept(worker: Rc<Worker>, listener: Rc<LiveListener>, side: Rc<QuicSide>) {
    while let Some(incoming) = side.next().await {
        if side.unfinished.get() >= UNFINISHED && !incoming.remote_address_validated() {
            // What cannot be asked for a proof does not come to anything either.
            let _ = incoming.retry();
            continue;
        }
        match OpenConnection::begin(&worker, &listener) {
            Some(open) => {
                let unfinished = side.begin_handshake();
                tokio::task::spawn_local(http3::serve(open, unfinished, incoming));
            }
            None => {
                listener.series().refuse();
                worker.wheel.end_idle(Some(listener.id));
                incoming.refuse();
            }
        }
    }
    // Whoever comes now is not answered, and takes another version.
    side.endpoint.set_server_config(None);
}
