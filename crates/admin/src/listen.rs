//! The socket of the admin listener, and the connections on it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use control::{Report, View};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use snapshot::Admin;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pages;

/// Connections that are served at a time; others wait.
const MOST_CONNECTIONS: usize = 64;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// A connection is used for so long, and then for no further request.
const AGE: Duration = Duration::from_secs(60);
/// Before it is tried again to accept, when the system is out of something.
const PAUSE: Duration = Duration::from_millis(100);

/// The admin listener cannot listen.
#[derive(Debug)]
pub struct AdminError {
    address: SocketAddr,
    error: std::io::Error,
}

impl std::fmt::Display for AdminError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "the admin listener cannot listen on {}: {}\n  Choose another address with `admin: 127.0.0.1:PORT`, or none with `admin: off`.",
            self.address, self.error
        )
    }
}

impl std::error::Error for AdminError {}

/// Binds the address of the admin listener, if there is one.
///
/// # Errors
/// The address is not to be had.
pub async fn bind(admin: &Admin) -> Result<Option<TcpListener>, AdminError> {
    let Some(address) = admin.address else { return Ok(None) };
    TcpListener::bind(address).await.map(Some).map_err(|error| AdminError { address, error })
}

/// Answers for as long as it is polled. A reload that names another address moves it there; one whose address is not
/// to be had leaves it where it is.
pub async fn serve(view: Rc<View>, mut listener: Option<TcpListener>, report: Report) {
    let mut changes = view.changes();
    let mut served = view.active().snapshot.admin.clone();
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        tokio::select! {
            (stream, place) = accept(listener.as_ref(), &places) => {
                begin(stream, place, listener.as_ref(), &view);
            }
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                let wanted = view.active().snapshot.admin.clone();
                if wanted.address == served.address && (listener.is_some() || wanted.address.is_none()) {
                    continue;
                }
                if same_port(&wanted, &served) {
                    // It would stand in its own way.
                    listener = None;
                }
                match bind(&wanted).await {
                    Ok(bound) => {
                        report(match &bound {
                            Some(socket) => format!("the admin listener is at {}", place(socket)),
                            None => "there is no admin listener any more".to_owned(),
                        });
                        (listener, served) = (bound, wanted);
                    }
                    Err(error) => {
                        if listener.is_none() {
                            listener = bind(&served).await.unwrap_or_default();
                        }
                        let now = listener.as_ref().map_or_else(
                            || "It goes on without one.".to_owned(),
                            |socket| format!("It stays at {}.", place(socket)),
                        );
                        report(format!("{error}\n  {now}"));
                    }
                }
            }
        }
    }
}

/// Answers for as long as it is polled, at an address that was named when the gateway was started: no reload moves
/// it.
pub async fn serve_fixed(view: Rc<View>, listener: Option<TcpListener>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let (stream, place) = accept(listener.as_ref(), &places).await;
        begin(stream, place, listener.as_ref(), &view);
    }
}

/// Whether both want one port, which only one of them can have.
fn same_port(one: &Admin, other: &Admin) -> bool {
    match (one.address, other.address) {
        (Some(one), Some(other)) => one.port() == other.port() && one.port() != 0,
        _ => false,
    }
}

/// Begins to answer on a connection that came to this listener.
fn begin(stream: TcpStream, place: OwnedSemaphorePermit, listener: Option<&TcpListener>, view: &Rc<View>) {
    let at = listener.and_then(|listener| listener.local_addr().ok());
    // An unknown address is treated as one that everybody can reach.
    let at = at.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let by = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let view = Rc::clone(view);
    tokio::task::spawn_local(async move {
        answer(stream, at, by, view).await;
        drop(place);
    });
}

/// The address of a socket, as a URL.
pub(crate) fn place(listener: &TcpListener) -> String {
    listener
        .local_addr()
        .map_or_else(|_| "an unknown address".to_owned(), |address| format!("http://{address}"))
}

async fn accept(
    listener: Option<&TcpListener>,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn answer(stream: TcpStream, at: IpAddr, by: IpAddr, view: Rc<View>) {
    let service = service_fn(move |request| {
        let view = Rc::clone(&view);
        async move { Ok::<_, Infallible>(pages::answer(&view, at, by, request).await) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(16 * 1024);
    let mut connection = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Whoever asks has gone, or sent something that is not HTTP: nobody to tell.
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(AGE) => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(AGE, connection).await;
}
