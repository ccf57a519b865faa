//! Tests against real servers on loopback, in the kind of runtime that workers have.
//!
//! Entry point: [`local`] runs a test, [`Server`] is what it asks.

mod asking;
mod ext_authz;
mod failing;
mod keeping;
mod secure;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio_rustls::TlsAcceptor;

/// Longer than any test: what waits for it hangs, and the test says so.
const PATIENCE: Duration = Duration::from_secs(20);

fn local<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the test hangs") })
}

#[derive(Clone, Default)]
struct Say {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

fn say(status: u16, body: impl Into<Bytes>) -> Say {
    Say { status, body: body.into(), ..Say::default() }
}

impl Say {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Say {
        self.headers.push((name, value.into()));
        self
    }
}

/// A server that says what its handler makes of a request and its body.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Speaks {
    Http1,
    Http2,
}

impl Server {
    async fn start(speaks: Speaks, handle: impl Fn(&Request<Bytes>) -> Say + Clone + 'static) -> Server {
        Server::listen(speaks, None, handle).await
    }

    async fn listen(
        speaks: Speaks,
        tls: Option<ServerConfig>,
        handle: impl Fn(&Request<Bytes>) -> Say + Clone + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server { address: listener.local_addr().unwrap(), connections: Arc::default() };
        let connections = Arc::clone(&server.connections);
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        tokio::task::spawn_local(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (acceptor, handle) = (acceptor.clone(), handle.clone());
                tokio::task::spawn_local(async move {
                    match acceptor {
                        None => serve(speaks, TokioIo::new(tcp), handle).await,
                        Some(acceptor) => {
                            let Ok(tls) = acceptor.accept(tcp).await else { return };
                            serve(speaks, TokioIo::new(tls), handle).await;
                        }
                    }
                });
            }
        });
        server
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn url(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.address).parse().unwrap()
    }
}

async fn serve(
    speaks: Speaks,
    io: impl Read + Write + Unpin + 'static,
    handle: impl Fn(&Request<Bytes>) -> Say + Clone + 'static,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let handle = handle.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let said = handle(&Request::from_parts(parts, body));
            let mut response = Response::new(());
            *response.status_mut() = said.status.try_into().unwrap();
            for (name, value) in said.headers {
                response.headers_mut().append(name, HeaderValue::from_str(&value).unwrap());
            }
            let trailers = said.trailers.map(Ok);
            let body = Full::new(said.body).with_trailers(async move { trailers });
            Ok::<_, Infallible>(response.map(|()| body))
        }
    });
    // A client that leaves is no mistake.
    match speaks {
        Speaks::Http1 => _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await,
        Speaks::Http2 => {
            let builder = hyper::server::conn::http2::Builder::new(Here);
            _ = builder.serve_connection(io, service).await;
        }
    }
}

/// Runs tasks in this thread, which need not be able to leave it.
#[derive(Clone)]
struct Here;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
