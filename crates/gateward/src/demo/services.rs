//! The sample services: users, orders, and one that is slow and fails at times.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

type Answer = Response<Full<Bytes>>;

/// Starts the three on the ports after `port`, or on free ones if it is 0.
pub(super) async fn start(port: u16) -> std::io::Result<[SocketAddr; 3]> {
    let address = |offset: u16| {
        let port = if port == 0 { 0 } else { port.saturating_add(offset) };
        SocketAddr::from(([127, 0, 0, 1], port))
    };
    Ok([
        serve(TcpListener::bind(address(1)).await?, |request| async move { users(&request) })?,
        serve(TcpListener::bind(address(2)).await?, |request| async move { orders(&request) })?,
        serve(TcpListener::bind(address(3)).await?, |_| flaky())?,
    ])
}

fn serve<F, A>(listener: TcpListener, answer: F) -> std::io::Result<SocketAddr>
where
    F: Fn(Request<Incoming>) -> A + Copy + 'static,
    A: Future<Output = Answer> + 'static,
{
    let address = listener.local_addr()?;
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service =
                service_fn(move |request| async move { Ok::<_, Infallible>(answer(request).await) });
            tokio::task::spawn_local(async move {
                // A client that goes away is no news.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(address)
}

fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(format!("{body:#}\n"))));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    headers.insert("x-powered-by", hyper::header::HeaderValue::from_static("sample"));
    answer
}

/// What the service saw: worth showing, since that is what a gateway changes.
fn seen(request: &Request<Incoming>) -> serde_json::Value {
    let headers: serde_json::Map<String, serde_json::Value> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned().into())
        })
        .collect();
    serde_json::json!({ "method": request.method().as_str(), "path": request.uri().to_string(), "headers": headers })
}

fn last_segment(request: &Request<Incoming>) -> String {
    request.uri().path().rsplit('/').next().unwrap_or_default().to_owned()
}

fn users(request: &Request<Incoming>) -> Answer {
    let id = last_segment(request);
    json(StatusCode::OK, &serde_json::json!({ "service": "users", "user": id, "saw": seen(request) }))
}

fn orders(request: &Request<Incoming>) -> Answer {
    let id = last_segment(request);
    json(StatusCode::OK, &serde_json::json!({ "service": "orders", "order": id, "saw": seen(request) }))
}

/// One answer in four is a failure, one in four takes half a second.
async fn flaky() -> Answer {
    match fastrand::u8(0..4) {
        0 => json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "service": "flaky", "mood": "bad" })),
        1 => {
            tokio::time::sleep(Duration::from_millis(500)).await;
            json(StatusCode::OK, &serde_json::json!({ "service": "flaky", "mood": "slow" }))
        }
        _ => json(StatusCode::OK, &serde_json::json!({ "service": "flaky", "mood": "good" })),
    }
}
