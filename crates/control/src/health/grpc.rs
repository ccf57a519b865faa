//! The health service of gRPC: one call of `grpc.health.v1.Health/Check`.
//!
//! Its two messages have one field each, so they are written and read by hand here. Entry point: [`check`].

use std::time::Duration;

use ::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use ::http::{Method, Response};
use bytes::Bytes;
use h2::RecvStream;
use message::{GrpcStatus, is_grpc, write_grpc_timeout};
use tokio::io::{AsyncRead, AsyncWrite};

use super::ask::{Failure, beside};
use super::http::{handshake, request};

const PATH: &str = "/grpc.health.v1.Health/Check";
/// The longest body that is read, in bytes. An answer takes seven.
const MOST_BODY: usize = 1024;
/// In front of each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Asks about a service of gRPC, by a name that is empty for the server as a whole.
pub(super) async fn check<S>(
    stream: S,
    scheme: &str,
    authority: &str,
    service: &str,
    timeout: Duration,
) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sender, connection) = handshake(stream).await?;
    let mut request = request(Method::POST, scheme, authority, PATH)?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    let mut limit = Vec::new();
    write_grpc_timeout(&mut limit, timeout);
    if let Ok(limit) = HeaderValue::from_bytes(&limit) {
        request.headers_mut().insert("grpc-timeout", limit);
    }
    let answer = async {
        let mut sender = sender.ready().await.map_err(|error| Failure::broke(&error))?;
        let (response, mut body) =
            sender.send_request(request, false).map_err(|error| Failure::broke(&error))?;
        body.send_data(question(service), true).map_err(|error| Failure::broke(&error))?;
        let response = response.await.map_err(|error| Failure::broke(&error))?;
        read(response, service).await
    };
    beside(connection, answer).await
}

/// `HealthCheckRequest { string service = 1; }` as a message of gRPC.
fn question(service: &str) -> Bytes {
    let mut message = Vec::with_capacity(service.len() + 3);
    if !service.is_empty() {
        message.push(0x0a); // field 1, of a length
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

async fn read(response: Response<RecvStream>, service: &str) -> Result<String, Failure> {
    let (head, mut body) = response.into_parts();
    if head.status != 200 {
        return Err(Failure::Answer(format!(
            "status {} of HTTP, and no answer of gRPC",
            head.status.as_u16()
        )));
    }
    let kind = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !is_grpc(kind) {
        return Err(Failure::Answer("the answer is not one of gRPC".to_owned()));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|error| Failure::broke(&error))?;
        if bytes.len() + piece.len() > MOST_BODY {
            return Err(Failure::Broke(format!("it has more than {MOST_BODY} bytes")));
        }
        bytes.extend_from_slice(&piece);
        let released = body.flow_control().release_capacity(piece.len());
        released.map_err(|error| Failure::broke(&error))?;
    }
    let trailers = body.trailers().await.map_err(|error| Failure::broke(&error))?;
    verdict(trailers.as_ref().unwrap_or(&head.headers), &bytes, service)
}

/// What an answer says.
fn verdict(trailers: &HeaderMap, body: &[u8], service: &str) -> Result<String, Failure> {
    let Some(status) = trailers.get("grpc-status") else {
        return Err(Failure::Broke("it has no grpc-status".to_owned()));
    };
    match GrpcStatus::parse(status.as_bytes()) {
        Some(GrpcStatus::Ok) => {}
        Some(GrpcStatus::NotFound) => {
            return Err(Failure::Answer(format!("it does not know the service `{service}` (NOT_FOUND)")));
        }
        Some(GrpcStatus::Unimplemented) => {
            return Err(Failure::Answer(
                "it has no health service `grpc.health.v1.Health` (UNIMPLEMENTED)".to_owned(),
            ));
        }
        Some(other) => return Err(Failure::Answer(format!("grpc-status {}", other.name()))),
        None => return Err(Failure::Broke("its grpc-status is none".to_owned())),
    }
    match serving_status(body) {
        Some(1) => Ok("SERVING".to_owned()),
        Some(2) => Err(Failure::Declined("it answers NOT_SERVING".to_owned())),
        Some(0) => Err(Failure::Answer("it answers UNKNOWN".to_owned())),
        Some(3) => Err(Failure::Answer("it answers SERVICE_UNKNOWN".to_owned())),
        Some(other) => Err(Failure::Answer(format!("it answers {other}, which is no status of health"))),
        None => Err(Failure::Broke("its message is malformed".to_owned())),
    }
}

/// The `status` of `HealthCheckResponse { ServingStatus status = 1; }`, which is 0 where it is left out. Fields that are
/// not known are skipped.
fn serving_status(body: &[u8]) -> Option<u64> {
    let ([is_compressed, length @ ..], mut rest) = body.split_first_chunk::<PREFIX>()?;
    if *is_compressed != 0 || u32::from_be_bytes(*length) as usize != rest.len() {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (0, _) => return None,
            (1, 0) => status = varint(&mut rest)?,
            (_, 0) => _ = varint(&mut rest)?,
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// A number of protobuf: seven bits in each byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        assert_eq!(&question("")[..], b"\0\0\0\0\0");
        assert_eq!(&question("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        let long = question(&"x".repeat(200));
        assert_eq!(&long[..8], b"\0\0\0\0\xcb\x0a\xc8\x01");
        assert_eq!(long.len(), 5 + 3 + 200);
    }

    #[test]
    fn answers() {
        for (body, wanted) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Some(1)),
            (b"\0\0\0\0\x02\x08\x02", Some(2)),
            (b"\0\0\0\0\0", Some(0)),
            // The last one counts, and what is not known is skipped.
            (b"\0\0\0\0\x0b\x08\x02\x12\x02xy\x1d\0\0\0\0", Some(2)),
            (b"\0\0\0\0\x0d\x08\x02\x12\x02xy\x1d\0\0\0\0\x08\x01", Some(1)),
            (b"\0\0\0\0\x0b\x11\0\0\0\0\0\0\0\0\x08\x01", Some(1)),
            (b"\0\0\0\0\x03\x08\xac\x02", Some(300)),
            // Cut off, compressed, longer than it says, no wire type, no field, a number that does not end.
            (b"", None),
            (b"\0\0\0\0", None),
            (b"\0\0\0\0\x02\x08", None),
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x02\x08\x01\x08", None),
            (b"\0\0\0\0\x01\x0b", None),
            (b"\0\0\0\0\x02\x00\x01", None),
            (b"\0\0\0\0\x03\x12\xff\x01", None),
            (b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),
        ] {
            assert_eq!(serving_status(body), wanted, "{body:?}");
        }
    }

    #[test]
    fn every_prefix_of_an_answer_is_read_without_harm() {
        let whole = b"\0\0\0\0\x0d\x08\x02\x12\x02xy\x1d\0\0\0\0\x08\x01";
        for end in 0..whole.len() {
            assert_eq!(serving_status(&whole[..end]), None, "{end}");
        }
    }

    #[test]
    fn verdicts() {
        let said = |status: Option<&'static str>, body: &[u8]| {
            let mut trailers = HeaderMap::new();
            if let Some(status) = status {
                trailers.insert("grpc-status", HeaderValue::from_static(status));
            }
            verdict(&trailers, body, "a.B")
                .unwrap_or_else(|failure| format!("{:?} {failure}", failure.standing()))
        };
        let serving = b"\0\0\0\0\x02\x08\x01";
        assert_eq!(said(Some("0"), serving), "SERVING");
        assert_eq!(said(Some("0"), b"\0\0\0\0\x02\x08\x02"), "Declining it answers NOT_SERVING");
        assert_eq!(said(Some("5"), b""), "Failing it does not know the service `a.B` (NOT_FOUND)");
        assert_eq!(said(Some("14"), b""), "Failing grpc-status UNAVAILABLE");
        assert!(said(Some("12"), b"").contains("grpc.health.v1.Health"));
        for (status, body) in [(None, &serving[..]), (Some("x"), serving), (Some("0"), b"")] {
            assert!(said(status, body).starts_with("Failing no answer: "), "{status:?}");
        }
    }
}
