//! Connections to services: a kept one, a stream of one that carries many, or a new one.

use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use message::Fault;
use snapshot::{Protocol, ProxyProtocol};

use crate::attempt::Failed;
use crate::carrier::{ActiveStream, Joined};
use crate::connection::Connection;
use crate::member::{Member, OpenSlot};
use crate::plan::Plan;
use crate::serving::Serving;
use crate::timer::Tick;
use crate::tls_stream::TlsStream;
use crate::transport::Transport;

/// What a request uses of a service's connections, counted for as long as it lives.
pub(crate) enum Lease {
    /// A connection of its own.
    Connection(OpenSlot),
    /// A stream.
    Stream(#[allow(dead_code, reason = "it counts until it is dropped")] ActiveStream),
}

/// A connection or stream to one address.
pub(crate) async fn open(
    s: &mut Serving<'_>,
    plan: &mut Plan<'_>,
    member: &Rc<Member>,
) -> Result<(Box<Connection>, Lease), Failed> {
    plan.reused = false;
    let settings = &plan.service.settings;
    if settings.protocol != Protocol::Http2
        && !plan.fresh
        && settings.proxy_protocol.is_none()
        && let Some((connection, slot)) = member.checkout()
    {
        plan.reused = true;
        return Ok((connection, Lease::Connection(slot)));
    }
    s.timer.arm(s.timer.now().after(settings.timeouts.connect).min(plan.total));
    if settings.protocol == Protocol::Http1 {
        // Boxed like what follows: it is rare, and every handler would have to have room for it.
        return Box::pin(dial(s, plan, member)).await;
    }
    let buffers = &s.worker.buffers;
    let joined = poll_fn(|cx| Poll::Ready(member.carriers.join(cx, buffers))).await;
    let (mut connection, lease) = match joined {
        Some((connection, active)) => {
            plan.reused = true;
            (connection, Lease::Stream(active))
        }
        None => Box::pin(join(s, plan, member)).await?,
    };
    if s.request.meta.upgrade_websocket && connection.is_stream() {
        Box::pin(wait_for_websockets(s, &mut connection)).await?;
    }
    Ok((connection, lease))
}

/// A connection of one's own, fresh.
pub(crate) async fn dial(
    s: &mut Serving<'_>,
    plan: &Plan<'_>,
    member: &Rc<Member>,
) -> Result<(Box<Connection>, Lease), Failed> {
    s.timer.arm(s.timer.now().after(plan.service.settings.timeouts.connect).min(plan.total));
    let slot = member.reserve(plan.service.settings.max_connections).ok_or(Failed::Full)?;
    let connection = connect(s, plan, member).await?;
    Ok((Box::new(connection), Lease::Connection(slot)))
}

/// How long a service may take to say that it takes WebSockets on streams (RFC 8441 §3): it says so first of all.
const SAY_SO: Duration = Duration::from_millis(500);

/// Waits until a service has said that it takes WebSockets on streams.
async fn wait_for_websockets(s: &mut Serving<'_>, connection: &mut Connection) -> Result<(), Failed> {
    let until = s.timer.now().after(SAY_SO);
    while !connection.stream().is_some_and(|stream| stream.takes_websockets()) {
        if s.timer.now() >= until {
            return Err(Failed::Final(Fault::NoUpgrade));
        }
        s.timer.arm(Tick(s.timer.now().0 + 1));
        poll_fn(|cx| s.timer.poll_expired(cx)).await;
    }
    Ok(())
}

/// A stream of a connection that carries many, which is opened if there is none with room. Where the service chooses
/// another version, the connection itself.
async fn join(
    s: &mut Serving<'_>,
    plan: &mut Plan<'_>,
    member: &Rc<Member>,
) -> Result<(Box<Connection>, Lease), Failed> {
    let buffers = Rc::clone(&s.worker.buffers);
    let settings = &plan.service.settings;
    plan.reused = true;
    let opening = if settings.protocol == Protocol::Auto && member.speaks_http1.get() {
        None
    } else {
        let joined = poll_fn(|cx| match member.carriers.poll_join(cx, &buffers) {
            Poll::Ready(joined) => Poll::Ready(Ok(joined)),
            Poll::Pending => s.timer.poll_expired(cx).map(|()| Err(Failed::Connect(Fault::ConnectTimeout))),
        });
        match joined.await? {
            Joined::Stream(connection, active) => return Ok((connection, Lease::Stream(active))),
            Joined::Opens(opening) => Some(opening),
        }
    };
    plan.reused = false;
    let slot = member.reserve(settings.max_connections).ok_or(Failed::Full)?;
    let connection = connect(s, plan, member).await?;
    let many = match &connection.transport {
        Transport::Tls(stream) => stream.speaks_http2(),
        Transport::Tcp(_) | Transport::Stream(_) | Transport::Nowhere => settings.protocol == Protocol::Http2,
    };
    if !many {
        if settings.protocol == Protocol::Http2 {
            s.request.trouble = Some("it does not offer HTTP/2".into());
            return Err(Failed::Connect(Fault::TlsFailed));
        }
        member.speaks_http1.set(true);
        return Ok((Box::new(connection), Lease::Connection(slot)));
    }
    member.carriers.add(connection, slot).await.map_err(|_| Failed::Connect(Fault::ConnectFailed))?;
    let joined = poll_fn(|cx| Poll::Ready(member.carriers.join(cx, &buffers))).await;
    drop(opening);
    // What was opened a moment ago is there, unless it broke at once.
    joined
        .map(|(connection, active)| (connection, Lease::Stream(active)))
        .ok_or(Failed::Connect(Fault::ConnectFailed))
}

/// A new connection, encrypted if it has to be. Until the timer says that it took too long.
async fn connect(s: &mut Serving<'_>, plan: &Plan<'_>, member: &Rc<Member>) -> Result<Connection, Failed> {
    let watches_client = !s.request.has_body();
    let began = Instant::now();
    let transport = Transport::begin_connect(member.address, &s.worker.outbox);
    let transport = transport.map_err(|_| Failed::Connect(Fault::ConnectFailed))?;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = transport.poll_connected(cx) {
            return Poll::Ready(outcome.map_err(|_| Failed::Connect(Fault::ConnectFailed)));
        }
        // Nobody connects for a client that has gone. What it sends ahead is kept for later.
        if watches_client && matches!(s.down.poll_fill(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Failed::Final(Fault::ClientGone)));
        }
        s.timer.poll_expired(cx).map(|()| Err(Failed::Connect(Fault::ConnectTimeout)))
    })
    .await?;
    let mut transport = transport;
    if let Some(version) = plan.service.settings.proxy_protocol {
        introduce_client(s, &mut transport, version, member).await?;
    }
    let transport = match &plan.service.settings.tls {
        None => transport,
        // Boxed, because a handshake is rare and its state is large.
        Some(tls) => Box::pin(encrypt(s, transport, tls, member)).await?,
    };
    let took = began.elapsed();
    s.request.record.connect = Some(took);
    member.series.opened.add(1);
    member.series.connect.observe(took);
    Ok(Connection::new(transport, &s.worker.buffers))
}

/// Shakes hands with a service, and believes it only if its certificate says who it is.
async fn encrypt(
    s: &mut Serving<'_>,
    transport: Transport,
    tls: &tls::Client,
    member: &Member,
) -> Result<Transport, Failed> {
    let Transport::Tcp(tcp) = transport else { return Ok(transport) };
    let name = tls.name_for(&member.host).map_err(|error| {
        s.request.trouble = Some(error.to_string().into());
        Failed::Connect(Fault::TlsFailed)
    })?;
    let stream = TlsStream::client(tcp, tls, name, &s.worker.buffers);
    let mut stream = stream.map_err(|_| Failed::Connect(Fault::TlsFailed))?;
    let outcome = poll_fn(|cx| match stream.poll_handshake(cx, &mut None) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => s.timer.poll_expired(cx).map(|()| None),
    });
    match outcome.await {
        None => Err(Failed::Connect(Fault::ConnectTimeout)),
        Some(Ok(())) => Ok(Transport::Tls(Box::new(stream))),
        Some(Err(error)) => {
            s.request.trouble = Some(why_not(&error).into());
            Err(Failed::Connect(Fault::TlsFailed))
        }
    }
}

/// Why a handshake with a service has failed, for the operator.
fn why_not(error: &std::io::Error) -> String {
    let of_protocol = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match of_protocol {
        Some(error) => tls::explain_service(error),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the service has closed the connection in the middle of the handshake".to_owned()
        }
        None => error.to_string(),
    }
}

/// Tells a service for whom a connection is, in front of everything else.
async fn introduce_client(
    s: &mut Serving<'_>,
    transport: &mut Transport,
    version: ProxyProtocol,
    member: &Member,
) -> Result<(), Failed> {
    let client = s.request.client;
    let client = SocketAddr::new(client, if client == s.info.peer { s.info.port } else { 0 });
    let server = s.info.asked.or_else(|| s.down.transport.local_address()).unwrap_or(s.listener.address);
    let server = if server.ip().is_unspecified() { member.address } else { server };
    let mut header = Vec::new();
    match version {
        ProxyProtocol::V1 => wire::write_proxy_v1(&mut header, client, server),
        ProxyProtocol::V2 => wire::write_proxy_v2(&mut header, client, server),
    }
    let mut rest = &header[..];
    poll_fn(|cx| {
        while !rest.is_empty() {
            match transport.poll_write(cx, &[IoSlice::new(rest)]) {
                Poll::Ready(Ok(count @ 1..)) => rest = rest.get(count..).unwrap_or_default(),
                Poll::Ready(_) => return Poll::Ready(Err(Failed::Connect(Fault::ConnectFailed))),
                Poll::Pending => {
                    return s.timer.poll_expired(cx).map(|()| Err(Failed::Connect(Fault::ConnectTimeout)));
                }
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}
