//! A name server for tests: it answers over UDP what a text says, and remembers what it was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

/// Answers until it is dropped.
pub(super) struct Responder {
    pub(super) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    zone: String,
    asked: Vec<String>,
}

impl Responder {
    /// Answers what `zone` says: one record on each line, such as `_http._tcp.test 30 SRV 10 5 8080 a.test`. After a
    /// `+` it is sent only as an additional record of SRV answers. `a.test FAIL` makes questions for a name fail, and
    /// `FAIL` alone all of them.
    pub(super) async fn start(zone: &str) -> Responder {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared { zone: zone.to_owned(), asked: Vec::new() }));
        let own = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let reply = answer(&mut own.lock().unwrap(), &question);
                socket.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
            }
        });
        Responder { address, shared, task }
    }

    pub(super) fn change(&self, zone: &str) {
        self.shared.lock().unwrap().zone = zone.to_owned();
    }

    /// The questions since the last call, as `a.test A`.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().asked)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(shared: &mut Shared, question: &Message) -> Message {
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    let query = &question.queries[0];
    reply.add_query(query.clone());
    let name = query.name().to_ascii().trim_end_matches('.').to_owned();
    shared.asked.push(format!("{name} {}", query.query_type()));
    let mut exists = false;
    for line in shared.zone.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            ["FAIL"] => reply.metadata.response_code = ResponseCode::ServFail,
            [owner, "FAIL"] if owner == name => reply.metadata.response_code = ResponseCode::ServFail,
            [_, "FAIL"] => {}
            ["+", ref rest @ ..] if query.query_type() == RecordType::SRV => {
                reply.add_additional(record(rest));
            }
            ["+", ..] => {}
            [owner, ..] if owner == name => {
                exists = true;
                let record = record(&words);
                if [query.query_type(), RecordType::CNAME].contains(&record.record_type()) {
                    let alias = record.clone();
                    reply.add_answer(record);
                    // As a resolver does: an alias comes with what it leads to.
                    if let (RData::CNAME(to), RecordType::SRV) = (&alias.data, query.query_type()) {
                        let to = to.0.to_ascii();
                        let behind =
                            shared.zone.lines().filter(|line| line.starts_with(to.trim_end_matches('.')));
                        behind.for_each(|line| {
                            reply.add_answer(self::record(&line.split_whitespace().collect::<Vec<_>>()));
                        });
                    }
                }
            }
            _ => {}
        }
    }
    if !exists && reply.metadata.response_code == ResponseCode::NoError {
        reply.metadata.response_code = ResponseCode::NXDomain;
    }
    reply
}

/// A record from its words: owner, time to live, type, data.
fn record(words: &[&str]) -> Record {
    use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SRV};
    let name = |text: &str| Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).unwrap();
    let data = match words[2..] {
        ["A", address] => RData::A(A(address.parse().unwrap())),
        ["AAAA", address] => RData::AAAA(AAAA(address.parse().unwrap())),
        ["CNAME", to] => RData::CNAME(CNAME(name(to))),
        ["SRV", priority, weight, port, target] => {
            let target = if target == "." { Name::root() } else { name(target) };
            let [priority, weight, port] = [priority, weight, port].map(|number| number.parse().unwrap());
            RData::SRV(SRV::new(priority, weight, port, target))
        }
        _ => panic!("not a record: {words:?}"),
    };
    Record::from_rdata(name(words[0]), words[1].parse().unwrap(), data)
}
