//! A connection to a directory, encrypted before anything is said where it is to be.
//!
//! It must not know what is asked. Entry point: [`connect`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use policy::ldap::{Directory, Security};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::guard;

/// Asks for encryption (RFC 4511 §4.14.1): message 1, an extended request with the name 1.3.6.1.4.1.1466.20037.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// What is read from and written to.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to one of the addresses of a directory.
pub(super) async fn connect(directory: &Directory, tls: Option<tls::Client>) -> Result<Wire, String> {
    let unreachable = |error: io::Error| format!("no connection: {error}");
    let mut tcp = TcpStream::connect((&*directory.host, directory.port)).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    if directory.security == Security::StartTls {
        start_tls(&mut tcp).await?;
    }
    let Some(tls) = tls else { return Ok(Wire::Plain(tcp)) };
    let name = tls.name_for(&directory.host).map_err(|error| format!("no TLS handshake: {error}"))?;
    let connected = TlsConnector::from(Arc::clone(tls.config())).connect(name, tcp).await;
    let stream = connected.map_err(|error| format!("no TLS handshake: {}", why_not(&error)))?;
    Ok(Wire::Tls(Box::new(stream)))
}

/// Reads the answer to the last byte and not a byte more: what somebody has put behind it would be a broken handshake.
async fn start_tls(tcp: &mut TcpStream) -> Result<(), String> {
    tcp.write_all(START_TLS).await.map_err(|error| format!("no connection: {error}"))?;
    let answer = guard::answer(tcp, guard::START_TLS).await.map_err(|trouble| trouble.to_string())?;
    match guard::result_of(&answer) {
        Some(0) => Ok(()),
        _ => Err("it does not take `start_tls`".to_owned()),
    }
}

fn why_not(error: &io::Error) -> String {
    let of_protocol = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    of_protocol.map_or_else(|| error.to_string(), tls::explain_service)
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
