//! What the real server of the other tests cannot do: renewal information (RFC 9773), limits, and not being there.
//!
//! The server here is made by hand. It knows just enough of ACME to be asked for a certificate, and refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, SystemTime};

use acme::{Challenge, Event, Host, Keeper, Pair, Settings, Status, Store, What};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::sync::Notify;

struct Nobody;

impl acme::Challenges for Nobody {
    fn set_http(&self, _: &str, _: &str) {}
    fn remove_http(&self, _: &str) {}
    fn set_alpn(&self, _: &str, _: &[u8], _: &[u8]) {}
    fn remove_alpn(&self, _: &str) {}
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("gateward-renewal-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for one name, valid from an hour ago for ninety days.
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let now = SystemTime::now();
        params.not_before = (now - Duration::from_secs(3600)).into();
        params.not_after = (now + Duration::from_secs(90 * 86_400)).into();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// The start line of each request, and its body.
type Requests = Receiver<(String, String)>;

/// Starts a server, and returns its port and what it is asked. It ends when the receiver is dropped and somebody
/// asks once more, or with the test.
fn serve(authority: &Authority) -> (u16, Requests) {
    let (certificate, key) = authority.issue("127.0.0.1");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, requests) = sync_channel(64);
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            // A client that does not trust us goes away; that is part of the tests.
            let Some(request) = read_request(&mut stream) else { continue };
            let answer = answer(port, &request.0);
            if asked.try_send(request).is_err() {
                return;
            }
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, requests)
}

fn read_request(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length = length.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let (head, body) = text.split_once("\r\n\r\n")?;
                return Some((head.lines().next()?.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => bytes.extend(&piece[..count]),
            _ => return None,
        }
    }
}

fn answer(port: u16, line: &str) -> String {
    let base = format!("https://127.0.0.1:{port}");
    let (status, headers, body) = match line.split(' ').nth(1).unwrap_or_default() {
        "/dir" => {
            let urls = ["newNonce", "newAccount", "newOrder", "renewalInfo"];
            let urls = urls.map(|name| format!("\"{name}\": \"{base}/{name}\"")).join(",");
            ("200 OK", String::new(), format!("{{{urls}}}"))
        }
        "/newNonce" => ("200 OK", String::new(), String::new()),
        "/newAccount" => ("201 Created", format!("location: {base}/account/1\r\n"), "{}".to_owned()),
        path if path.starts_with("/renewalInfo/") => {
            let window =
                r#"{"suggestedWindow": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}}"#;
            ("200 OK", "retry-after: 18446744073709551615\r\n".to_owned(), window.to_owned())
        }
        _ => {
            let problem = r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many today"}"#;
            ("429 Too Many Requests", "retry-after: 7200\r\n".to_owned(), problem.to_owned())
        }
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nreplay-nonce: bm9uY2U\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// The payload of a request (RFC 7515: base64 for URLs, without padding).
fn payload(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for byte in body["payload"].as_str().unwrap().bytes() {
        (bits, count) = (bits << 6 | u32::from(value(byte)), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn settings(directory: String, authority: &Authority, state: &Folder) -> Settings {
    Settings {
        directory,
        email: None,
        hosts: vec!["a.example".to_owned()],
        challenge: Challenge::Http01,
        authorities: tls::Authorities::from_pem(&authority.pem).unwrap(),
        renew_before: None,
        state: state.0.clone(),
    }
}

/// Makes a keeper, lets something happen before it begins, and runs it until it tells what is waited for.
fn told<T: 'static>(
    settings: Settings,
    before: impl FnOnce(),
    wanted: impl Fn(What) -> Option<T> + 'static,
) -> T {
    let told = Rc::new((RefCell::new(None), Notify::new()));
    let teller = Rc::clone(&told);
    let report = move |event: Event| {
        if let Some(wanted) = wanted(event.what) {
            *teller.0.borrow_mut() = Some(wanted);
            teller.1.notify_one();
        }
    };
    let keeper = Keeper::new(settings, Rc::new(Nobody), report).unwrap();
    before();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::select! {
            () = keeper.run() => panic!("a keeper never ends"),
            told = tokio::time::timeout(Duration::from_secs(60), told.1.notified()) => told.unwrap(),
        }
    });
    let found = told.0.borrow_mut().take();
    found.unwrap()
}

/// Why a keeper fails, and when it tries again.
fn failure(settings: Settings) -> (String, SystemTime) {
    told(
        settings,
        || (),
        |what| match what {
            What::Failed { why, next, .. } => Some((why.0, next)),
            _ => None,
        },
    )
}

fn seconds_from_now(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::now()).unwrap_or_default().as_secs()
}

#[test]
fn the_authority_may_ask_for_an_early_renewal_and_for_patience() {
    let (authority, state) = (Authority::new(), Folder::new());
    let (port, requests) = serve(&authority);
    let settings = settings(format!("https://127.0.0.1:{port}/dir"), &authority, &state);
    let store = Store::new(&state.0);
    let host = Host::parse("a.example").unwrap();
    let (certificate, key) = authority.issue("a.example");
    let pair = Pair { chain: certificate.pem(), key: key.serialize_pem() };
    store.set_pair(&host, &pair).unwrap();
    // Obtained long enough ago for another one.
    let obtained = Some(SystemTime::now() - Duration::from_secs(86_400));
    store.set_status(&host, &Status { obtained, ..Status::default() }).unwrap();

    let (why, next) = failure(settings);
    assert!(why.contains("too many today"), "{why}");
    let pause = seconds_from_now(next);
    assert!((7100..=7200).contains(&pause), "not the two hours that were asked for, but {pause} s");
    assert_eq!(store.pair(&host), Ok(Some(pair)));

    let requests: Vec<(String, String)> = requests.try_iter().collect();
    assert!(requests.iter().any(|(line, _)| line.starts_with("GET /renewalInfo/")), "{requests:?}");
    let orders: Vec<String> = requests
        .iter()
        .filter(|(line, _)| line.starts_with("POST /newOrder "))
        .map(|(_, body)| payload(body))
        .collect();
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert!(orders[0].contains("\"replaces\""), "{orders:?}");
    assert!(!orders[1].contains("\"replaces\""), "it is a courtesy, so it is tried without: {orders:?}");
}

#[test]
fn a_directory_that_is_not_there_or_not_trusted_is_told() {
    let (authority, other, state) = (Authority::new(), Authority::new(), Folder::new());
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let (port, _requests) = serve(&authority);
    for (port, ca, words) in
        [(free, &authority, "Connection refused"), (port, &other, "invalid peer certificate")]
    {
        let state = Folder(state.0.join(port.to_string()));
        let (why, next) = failure(settings(format!("https://127.0.0.1:{port}/dir"), ca, &state));
        assert!(why.contains("127.0.0.1 cannot be asked") && why.contains(words), "{why}");
        assert!(seconds_from_now(next) <= 25);
    }
}

#[test]
fn a_state_folder_that_cannot_be_written_costs_no_order() {
    let (authority, state) = (Authority::new(), Folder::new());
    let (port, requests) = serve(&authority);
    std::fs::write(state.0.join("acme"), "a file where a folder has to be").unwrap();
    let (why, _) = failure(settings(format!("https://127.0.0.1:{port}/dir"), &authority, &state));
    assert!(why.contains("status.json"), "{why}");
    assert_eq!(requests.try_iter().count(), 0);
}

#[test]
fn a_certificate_that_another_process_obtained_is_taken() {
    let (authority, state) = (Authority::new(), Folder::new());
    let (port, requests) = serve(&authority);
    let settings = settings(format!("https://127.0.0.1:{port}/dir"), &authority, &state);
    let (certificate, key) = authority.issue("a.example");
    let pair = Pair { chain: certificate.pem(), key: key.serialize_pem() };
    let store = Store::new(&state.0);
    let put = || store.set_pair(&Host::parse("a.example").unwrap(), &pair).unwrap();
    let until = told(settings, put, |what| match what {
        What::Loaded { not_after } => Some(not_after),
        _ => None,
    });
    assert!(seconds_from_now(until) > 80 * 86_400);
    assert!(requests.try_iter().all(|(line, _)| !line.contains("/newOrder")));
}
