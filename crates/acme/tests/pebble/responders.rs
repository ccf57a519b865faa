//! What the gateway is to the authority: answers to challenges over HTTP and TLS.
//!
//! [`Answers`] is what the keeper sets; each responder serves it on a free port until it is dropped.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// The answers that are served now.
#[derive(Debug, Default, Clone)]
pub(crate) struct Answers(Arc<Mutex<Set>>);

#[derive(Debug, Default)]
struct Set {
    http: HashMap<String, String>,
    alpn: HashMap<String, Arc<CertifiedKey>>,
    given: usize,
}

impl Answers {
    /// How many are served now, and how many were ever set.
    pub(crate) fn count(&self) -> (usize, usize) {
        let set = self.0.lock().unwrap();
        (set.http.len() + set.alpn.len(), set.given)
    }
}

impl acme::Challenges for Answers {
    fn set_http(&self, token: &str, key_authorization: &str) {
        let mut set = self.0.lock().unwrap();
        set.http.insert(token.to_owned(), key_authorization.to_owned());
        set.given += 1;
    }

    fn remove_http(&self, token: &str) {
        assert!(self.0.lock().unwrap().http.remove(token).is_some());
    }

    fn set_alpn(&self, host: &str, certificate_der: &[u8], key_der: &[u8]) {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = PrivatePkcs8KeyDer::from(key_der.to_vec()).into();
        let key = provider.key_provider.load_private_key(key).unwrap();
        // Not `from_der`: that refuses certificates with a critical extension it does not know.
        let certified = CertifiedKey::new(vec![CertificateDer::from(certificate_der.to_vec())], key);
        let mut set = self.0.lock().unwrap();
        set.alpn.insert(host.to_owned(), Arc::new(certified));
        set.given += 1;
    }

    fn remove_alpn(&self, host: &str) {
        assert!(self.0.lock().unwrap().alpn.remove(host).is_some());
    }
}

impl ResolvesServerCert for Answers {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.lock().unwrap().alpn.get(hello.server_name()?).cloned()
    }
}

/// A thread that serves one connection after the other.
pub(crate) struct Responder {
    pub(crate) port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Answers http-01.
    pub(crate) fn http(answers: &Answers) -> Responder {
        let answers = answers.clone();
        Responder::start(move |stream| answer_http(stream, &answers))
    }

    /// Answers tls-alpn-01.
    pub(crate) fn alpn(answers: &Answers) -> Responder {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(answers.clone()));
        config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
        let config = Arc::new(config);
        Responder::start(move |stream| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            while connection.is_handshaking()
                && connection.complete_io(stream).is_ok_and(|(read, _)| read > 0)
            {}
            connection.send_close_notify();
            let _ = connection.complete_io(stream);
        })
    }

    fn start(mut serve: impl FnMut(&mut TcpStream) + Send + 'static) -> Responder {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                serve(&mut stream);
            }
        });
        Responder { port, stop, thread: Some(thread) }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer_http(stream: &mut TcpStream, answers: &Answers) {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => request.extend(&piece[..count]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request);
    let token =
        request.strip_prefix("GET /.well-known/acme-challenge/").and_then(|rest| rest.split(' ').next());
    let answer = token.and_then(|token| answers.0.lock().unwrap().http.get(token).cloned());
    let (status, body) = answer.map_or(("404 Not Found", String::new()), |answer| ("200 OK", answer));
    let length = body.len();
    let _ =
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
}
