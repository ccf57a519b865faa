//! A gateway whose service stands behind a [`FaultProxy`], and how its answers are judged. Entry points: [`Stand`],
//! [`outcome`].

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{FaultProxy, Faults};
use crate::message::{Kind, Message};
use crate::{Client, End, Gateway, SOON, Setup, wait_until};

/// A gateway with one service, which has one endpoint: the proxy.
pub struct Stand {
    /// The proxy.
    pub proxy: FaultProxy,
    /// The gateway.
    pub gateway: Gateway,
    /// Sockets that the gateway has without any connection.
    sockets: usize,
    canaries: AtomicU64,
}

impl Stand {
    /// Starts one in front of a service; `more` stands in the section of the service, and begins with a comma if it is
    /// not empty.
    pub fn before(service: SocketAddr, more: &str) -> Stand {
        let proxy = FaultProxy::to(service);
        let yaml = yaml(&[proxy.address()], more);
        Stand::start(proxy, &Setup::new(yaml))
    }

    /// The same with the service behind TLS, of which only this authority is trusted, for this name.
    pub fn before_tls(service: SocketAddr, name: &str, authority: &str, more: &str) -> Stand {
        let proxy = FaultProxy::to(service);
        let tls = format!(", tls: {{ server_name: {name}, ca: ca.pem }}{more}");
        let yaml = yaml(&[proxy.address()], &tls).replace("http://", "https://");
        Stand::start(proxy, &Setup { files: vec![("ca.pem".into(), authority.into())], ..Setup::new(yaml) })
    }

    fn start(proxy: FaultProxy, setup: &Setup) -> Stand {
        let gateway = setup.start();
        // Once a client is served, everything that the gateway needs is open.
        let client = gateway.connect();
        assert_eq!(client.ask("OPTIONS * HTTP/1.1\r\nHost: gw.test\r\n\r\n").status(), 204);
        let sockets = sockets(&gateway) - 1;
        Stand { proxy, gateway, sockets, canaries: AtomicU64::new(0) }
    }

    /// Sends a request on a connection of its own, under these faults.
    pub fn ask_under(&self, faults: Faults, request: &str) -> Outcome {
        self.proxy.set_all(faults);
        let client = self.gateway.connect();
        client.send(request);
        outcome(&client)
    }

    /// Ends all faults, and checks that whoever comes next gets the right answers. The service has to answer requests
    /// for `/canary/*` with their target.
    ///
    /// # Panics
    ///
    /// If an answer is wrong; `what` says after what.
    pub fn canary(&self, what: &str) {
        self.proxy.set(Faults::default());
        let client = self.gateway.connect();
        for _ in 0..2 {
            let target = format!("/canary/{}", self.canaries.fetch_add(1, Ordering::Relaxed));
            let answer = client.get(&target);
            assert_eq!((answer.status(), answer.text()), (200, target), "after {what}: {answer}");
        }
    }

    /// Waits until the gateway has no connection open, neither to a client nor to the service.
    pub fn wait_closed(&self, what: &str) {
        wait_until(&format!("nothing stays open of {what}"), SOON, || sockets(&self.gateway) <= self.sockets);
    }
}

/// How many sockets a gateway has open.
fn sockets(gateway: &Gateway) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap();
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// A configuration with one service behind these endpoints; `more` as in [`Stand::before`].
pub fn yaml(endpoints: &[SocketAddr], more: &str) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|address| format!("http://{address}")).collect();
    format!(
        "listen: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [{}]{more} }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        endpoints.join(", ")
    )
}

/// What a client can tell about the answer to its last request.
#[derive(Debug)]
pub enum Outcome {
    /// It looks whole.
    Whole(Message),
    /// It began, and the connection ended so that nobody can take it for whole.
    Cut(Message),
    /// The connection ended without one.
    Gone(End),
    /// It did not come in time, or it is no HTTP/1.1.
    Wrong(String),
}

impl Outcome {
    /// The status of an answer that looks whole; 0 if there is none.
    pub fn status(&self) -> u16 {
        match self {
            Outcome::Whole(message) => message.status(),
            _ => 0,
        }
    }

    /// Its body, if it looks whole.
    pub fn text(&self) -> String {
        match self {
            Outcome::Whole(message) => message.text(),
            _ => String::new(),
        }
    }

    /// The status of an answer that was cut; 0 if there is none.
    pub fn cut(&self) -> u16 {
        match self {
            Outcome::Cut(message) => message.status(),
            _ => 0,
        }
    }

    /// Whether it was cut, or reset before anything of it was read: a reset may overtake what was sent before it.
    pub fn is_broken(&self) -> bool {
        self.cut() == 200 || matches!(self, Outcome::Gone(End::Reset))
    }

    /// Whether the gateway itself has answered, for this reason.
    pub fn is_fault(&self, status: u16, code: &str) -> bool {
        self.status() == status && self.text().contains(&format!("\"code\":\"{code}\""))
    }
}

/// Reads the answer, behind interim ones, and judges it.
pub fn outcome(client: &Client) -> Outcome {
    loop {
        match client.read(Kind::Response, SOON) {
            Ok(message) if (100..200).contains(&message.status()) && message.status() != 101 => {}
            Ok(message) => return Outcome::Whole(message),
            Err(error) => {
                return match (client.end(), client.read(Kind::Head, Duration::ZERO)) {
                    (Some(_), Ok(head)) => Outcome::Cut(head),
                    (Some(end), Err(_)) if client.unread().is_empty() => Outcome::Gone(end),
                    _ => Outcome::Wrong(error),
                };
            }
        }
    }
}
