//! The end of a request: what was learned of it becomes numbers and a line, once.

use message::{Blame, Fault, ForwardingInfo};
use telemetry::{Line, Record};

use crate::dial::Dial;
use crate::request::Request;
use crate::worker::Worker;

/// Counts a request that is over, and logs it.
pub(crate) fn finish(worker: &Worker, info: &ForwardingInfo, request: &mut Request) {
    if !request.head.method_bytes().is_empty() {
        request.record.method = Some(request.head.method);
        request.record.version = Some(request.head.version);
    }
    worker.run_errands(&request.state.errands);
    let total = match request.record.first_byte {
        Some(first_byte) if request.came_whole => first_byte,
        _ => request.record.started.elapsed(),
    };
    match &request.route {
        Some((route, way)) => {
            if let Some(series) = route.series(*way) {
                series.finish(&request.record, total);
            }
            if let Some(dial) = &route.dial {
                record(dial, worker, *way, &request.record);
            }
        }
        None => {
            let current = worker.current();
            current.unrouted.begin();
            current.unrouted.finish(&request.record, total);
        }
    }
    count_caller(worker, request);
    if let Some(series) = worker.series() {
        request.record.version.iter().for_each(|version| series.request(*version));
        request.record.fault.iter().for_each(|fault| series.fault(*fault));
    }
    let mut log = worker.log.borrow_mut();
    let Some(log) = &mut *log else { return };
    request.state.id.or_generate(&mut worker.rng.borrow_mut());
    // Most clients are the peer, whose text was made with the connection.
    let other_client;
    let client = if request.client == info.peer {
        &*info.peer_text
    } else {
        other_client = request.client.to_string();
        &other_client
    };
    let (route, service) = match &request.route {
        Some((route, way)) => {
            (&*route.route.name, route.service(*way).map_or("", |service| &*service.settings.name))
        }
        None => ("", ""),
    };
    let encryption = info.encryption.as_deref();
    let certificate = encryption.and_then(|encryption| encryption.certificate.as_ref());
    let line = Line {
        request_id: request.state.id.as_str(),
        client,
        method: request.head.method_bytes(),
        host: request.head.host().unwrap_or_default().as_bytes(),
        path: request.head.asked_path(),
        route,
        service,
        endpoint: request.member.as_ref().map_or("", |member| &*member.address_text),
        total,
        tls: encryption.and_then(|encryption| encryption.version).unwrap_or_default(),
        server_name: encryption.and_then(|encryption| encryption.server_name.as_deref()).unwrap_or_default(),
        client_certificate: certificate.map_or("", |certificate| &certificate.subject),
        client_names: certificate.map_or(&[], |certificate| &certificate.names),
        consumer: identity(request).and_then(|identity| identity.consumer.as_deref()).unwrap_or_default(),
        subject: subject(request),
        auth: request.state.caller().method(),
        answered_by: request.state.stopped_by.or(request.state.tried).unwrap_or_default(),
        record: &request.record,
    };
    log.add(worker.clock.time_of_day(request.record.started), &line);
}

/// Who was calling, if that is known.
fn identity(request: &Request) -> Option<&policy::Identity> {
    let (route, _) = request.route.as_ref()?;
    request.state.caller().identity(&route.route.consumers)
}

/// What the credential says about who was calling: the name of an API key, the subject of a token.
fn subject(request: &Request) -> &str {
    let key = request.state.key.as_ref().zip(request.route.as_ref());
    match key.and_then(|(key, (route, _))| route.route.consumers.label(key)) {
        Some(label) => label,
        None => identity(request).map_or("", policy::Identity::other_name),
    }
}

/// Counts who was calling, and which policy has answered.
fn count_caller(worker: &Worker, request: &Request) {
    let caller = request.state.caller();
    if let (Some(index), Some((route, _))) = (caller.consumer(), &request.route)
        && let Some(series) = route.consumer(index)
    {
        series.finish(&request.record);
    }
    let Some(series) = worker.series() else { return };
    match caller.method() {
        "" => {}
        name => series.policies.recognised(policy::position(name)),
    }
    if let Some(kind) = request.state.stopped_by.and_then(|(name, _)| policy::position(name)) {
        series.policies.answered(kind);
    }
    if let Some(kind) = request.state.tried.and_then(|(name, _)| policy::position(name)) {
        series.policies.tried(kind);
    }
}

/// What a request says of the version that it went to; nothing if its client left.
fn record(dial: &Dial, worker: &Worker, way: usize, record: &Record) {
    let blame = record.fault.map(Fault::blame);
    if blame == Some(Blame::Client) {
        return;
    }
    let failed = record.status >= 500 || blame == Some(Blame::Service);
    let micros = record.first_byte.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    dial.record(worker.index, way, failed, micros);
}
