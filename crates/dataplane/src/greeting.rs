//! What comes in front of requests on a connection: who it was passed on for, and encryption.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use message::{ClientCertificate, Encryption, ForwardingInfo};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use wire::ProxySource;

use crate::buffers::Buffer;
use crate::client::{Client, introduce};
use crate::handshake::Ending;
use crate::listener::OpenConnection;
use crate::outbox::Socket;
use crate::timer::Timer;
use crate::tls_stream::TlsStream;
use crate::transport::Transport;

/// Does what has to be done before requests are served, and says whether they come on many streams. `None` if it did
/// not come to that.
pub(crate) async fn greet(
    open: OpenConnection,
    tcp: TcpStream,
    peer: SocketAddr,
) -> Option<(Box<Client>, bool)> {
    let worker = &open.worker;
    let settings = open.listener.settings();
    let mut tcp = tcp;
    let mut peer = peer;
    let (mut arrived, mut asked) = (None, None);
    let timer = worker.wheel.timer();
    timer.arm(timer.now().after(settings.timeouts.header));
    // Others than trusted proxies have no say in who they are: what they send is what comes next.
    if settings.proxy_protocol && worker.current().snapshot.trusted_proxies.contains(peer.ip()) {
        let buffer = worker.buffers.take(false);
        (peer, asked, arrived) = read_proxy_header(&mut tcp, &timer, peer, buffer).await?;
    }
    let mut info = introduce(peer);
    info.asked = asked;
    let tcp = Socket::new(tcp, &worker.outbox);
    let Some(tls) = &settings.tls else {
        let mut client = Client::new(open, Transport::Tcp(tcp), info);
        client.down.inbox.buffer = arrived;
        return Some((Box::new(client), false));
    };
    let mut stream = TlsStream::server(tcp, tls, arrived, &worker.buffers).ok()?;
    let mut name = None;
    let outcome = poll_fn(|cx| match stream.poll_handshake(cx, &mut name) {
        Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(Ending::failed(&error))),
        Poll::Pending => timer.poll_expired(cx).map(|()| Err(Ending::timeout())),
    });
    let outcome = outcome
        .await
        .and_then(|()| note_encryption(&mut info, stream.version(), stream.peer_certificate(), name));
    if let Err(ending) = outcome {
        ending.tell(&open, peer);
        return None;
    }
    Ending::done(stream.is_resumed()).tell(&open, peer);
    if stream.protocol() == Some(tls::ACME_PROTOCOL) {
        return None; // an authority has seen what it wanted to see (RFC 8737 §3)
    }
    let streams = stream.speaks_http2();
    if streams {
        // Which of many requests came early is not known, so none of them is served before it is sure that nobody
        // repeats them.
        poll_fn(|cx| match stream.poll_confirmed(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome.ok()),
            Poll::Pending => timer.poll_expired(cx).map(|()| None),
        })
        .await?;
    }
    drop(timer);
    let client = Client::new(open, Transport::Tls(Box::new(stream)), info);
    Some((Box::new(client), streams))
}

/// Takes down what a handshake has told. Not of a certificate whose owner has no name that could be written down:
/// nobody is taken for somebody else.
pub(crate) fn note_encryption(
    info: &mut ForwardingInfo,
    version: Option<&'static str>,
    certificate: Option<&CertificateDer<'_>>,
    server_name: Option<Box<str>>,
) -> Result<(), Ending> {
    info.scheme = "https";
    let shown = certificate.map(|der| tls::PeerCertificate::from_der(der));
    let certificate = shown.transpose().map_err(|error| Ending::strange_certificate(&error))?;
    let certificate = certificate.as_ref().map(describe);
    info.encryption = Some(Arc::new(Encryption { version, server_name, certificate }));
    Ok(())
}

/// Reads who a connection was passed on for. Returns also what has come behind that. `None` if there is no such
/// thing: then nothing that follows can be trusted either.
async fn read_proxy_header(
    tcp: &mut TcpStream,
    timer: &Timer,
    peer: SocketAddr,
    mut buffer: Buffer,
) -> Option<(SocketAddr, Option<SocketAddr>, Option<Buffer>)> {
    poll_fn(|cx| {
        loop {
            match wire::parse_proxy_header(buffer.filled()) {
                Ok(Some((length, source))) => {
                    buffer.consume(length);
                    return Poll::Ready(Some(match source {
                        ProxySource::Local => (peer, None),
                        ProxySource::Addresses { client, server } => (client, Some(server)),
                    }));
                }
                Ok(None) => {}
                Err(_) => return Poll::Ready(None),
            }
            let mut room = ReadBuf::new(buffer.room());
            match Pin::new(&mut *tcp).poll_read(cx, &mut room) {
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                    let count = room.filled().len();
                    buffer.add(count);
                }
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => return timer.poll_expired(cx).map(|()| None),
            }
        }
    })
    .await
    .map(|(client, asked)| (client, asked, Some(buffer).filter(|buffer| !buffer.is_empty())))
}

fn describe(peer: &tls::PeerCertificate) -> ClientCertificate {
    let kind = |kind: &'static str| move |name: &str| format!("{kind}:{name}").into_boxed_str();
    let mut names: Vec<Box<str>> = peer.dns.iter().map(|name| &**name).map(kind("DNS")).collect();
    names.extend(peer.emails.iter().map(|name| &**name).map(kind("email")));
    names.extend(peer.uris.iter().map(|name| &**name).map(kind("URI")));
    names.extend(peer.addresses.iter().map(|address| format!("IP:{address}").into_boxed_str()));
    let not_after = peer.not_after.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |end| end.as_secs());
    ClientCertificate {
        subject: peer.subject.clone(),
        names,
        fingerprint: peer.fingerprint.clone(),
        not_after,
    }
}
