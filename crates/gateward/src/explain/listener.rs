//! By which listener a request comes.
//!
//! Entry points: [`choose`], and [`note`] for what is to be said of it.

use snapshot::Listener;

use super::ask::Ask;
use super::report;

/// The listener that was named; or that of the port in the URL, which is that of its scheme where none is written; or
/// the first that speaks this scheme; or the first.
pub(super) fn choose<'s>(
    listeners: &'s [Listener],
    named: Option<&str>,
    ask: &Ask,
) -> Result<&'s Listener, String> {
    if let Some(named) = named {
        let is_meant = |listener: &&Listener| {
            let address = listener.address;
            address.to_string() == named || address.port().to_string() == named.trim_start_matches(':')
        };
        let all = listeners.iter().map(|listener| listener.address.to_string());
        return listeners.iter().find(is_meant).ok_or_else(|| {
            format!("gateward: there is no listener {named}; there is {}", report::list(all, "and"))
        });
    }
    let port = ask.port.or(ask.https.map(|https| if https { 443 } else { 80 }));
    let by_port = |listener: &&Listener| port == Some(listener.address.port());
    let by_scheme = |listener: &&Listener| ask.https.is_none_or(|https| https == listener.tls.is_some());
    // A port that is written is meant; that of a scheme alone is not.
    let written = listeners.iter().find(by_port).filter(|_| ask.port.is_some());
    let usual = || listeners.iter().filter(by_scheme).find(by_port);
    let chosen = written.or_else(usual).or_else(|| listeners.iter().find(by_scheme)).or(listeners.first());
    chosen.ok_or_else(|| "gateward: the configuration has no listener".to_owned())
}

/// What has to be said where the listener does not speak what the URL says.
pub(super) fn note(listener: &Listener, ask: &Ask) -> Option<&'static str> {
    match (ask.https?, listener.tls.is_some()) {
        (true, false) => Some(
            "This listener speaks plain HTTP: a client that comes by https is not understood. Explained as http.",
        ),
        (false, true) => Some(
            "This listener speaks TLS: a client that comes by http is not understood. Explained as https.",
        ),
        (true, true) | (false, false) => None,
    }
}
