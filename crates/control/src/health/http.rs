//! A path is asked for by GET. Of the answer the head is read, and the body where something has to stand in it.

use ::http::header::{CONNECTION, HOST, USER_AGENT};
use ::http::{Method, Request, Uri};
use bytes::Bytes;
use h2::client::SendRequest;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::ask::{Failure, beside};

/// Who asks.
pub(super) const AGENT: &str = "gateward-health";
/// The largest head of an answer that is read, in bytes.
const MOST_HEAD: usize = 16 * 1024;

/// The longest begin of a body that is read, in bytes.
const MOST_BODY: usize = 64 * 1024;

/// Asks by HTTP/1.1, and returns the status; and the begin of the body, if it is wanted.
pub(super) async fn ask_http1<S>(
    stream: S,
    authority: &str,
    path: &str,
    wants_body: bool,
) -> Result<(u16, Vec<u8>), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = Request::builder()
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::broke(&error))?;
    let handshake = http1::Builder::new().max_buf_size(MOST_HEAD).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| Failure::broke(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| Failure::broke(&error))?;
        let (status, mut incoming) = (response.status().as_u16(), response.into_body());
        let mut body = Vec::new();
        while wants_body && body.len() < MOST_BODY {
            let Some(frame) = incoming.frame().await else { break };
            let frame = frame.map_err(|error| Failure::broke(&error))?;
            frame.data_ref().into_iter().for_each(|data| add(&mut body, data));
        }
        Ok((status, body))
    };
    beside(connection, answer).await
}

fn add(body: &mut Vec<u8>, data: &[u8]) {
    let room = MOST_BODY.saturating_sub(body.len());
    body.extend_from_slice(data.get(..room).unwrap_or(data));
}

/// Asks by HTTP/2, and returns the status; and the begin of the body, if it is wanted.
pub(super) async fn ask_http2<S>(
    stream: S,
    scheme: &str,
    authority: &str,
    path: &str,
    wants_body: bool,
) -> Result<(u16, Vec<u8>), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sender, connection) = handshake(stream).await?;
    let request = request(Method::GET, scheme, authority, path)?;
    let answer = async {
        let mut sender = sender.ready().await.map_err(|error| Failure::broke(&error))?;
        let (response, _) = sender.send_request(request, true).map_err(|error| Failure::broke(&error))?;
        let response = response.await.map_err(|error| Failure::broke(&error))?;
        let (status, mut incoming) = (response.status().as_u16(), response.into_body());
        let mut body = Vec::new();
        while wants_body && body.len() < MOST_BODY {
            let Some(data) = incoming.data().await else { break };
            let data = data.map_err(|error| Failure::broke(&error))?;
            // What is read makes room for more. A stream that has ended needs none.
            let _ = incoming.flow_control().release_capacity(data.len());
            add(&mut body, &data);
        }
        Ok((status, body))
    };
    beside(connection, answer).await
}

/// A connection of HTTP/2 that holds little.
pub(super) async fn handshake<S>(
    stream: S,
) -> Result<(SendRequest<Bytes>, h2::client::Connection<S, Bytes>), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false).max_header_list_size(MOST_HEAD as u32);
    builder.handshake(stream).await.map_err(|error| Failure::broke(&error))
}

/// The head of a request on a stream.
pub(super) fn request(
    method: Method,
    scheme: &str,
    authority: &str,
    path: &str,
) -> Result<Request<()>, Failure> {
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    let uri = uri.map_err(|error| Failure::broke(&error))?;
    let request = Request::builder().method(method).uri(uri).header(USER_AGENT, AGENT).body(());
    request.map_err(|error| Failure::broke(&error))
}
