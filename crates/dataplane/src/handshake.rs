//! What becomes of a TLS handshake with a client: a number, and for the operator a line now and then.
//!
//! How the handshake is done is in `greeting.rs` and `tls_stream.rs`; what an error means is said by the `tls` crate.
//! Entry point: [`Ending`].

use std::io;
use std::net::SocketAddr;

use rustls::{AlertDescription, Error};
use telemetry::Handshake;

use crate::listener::OpenConnection;

/// What is added to an alert to make an error of QUIC (RFC 9001 §4.8).
const CRYPTO_ERROR: u64 = 0x100;

/// How a handshake has ended.
pub(crate) struct Ending {
    outcome: Handshake,
    /// Why, if it has failed.
    why: String,
}

impl Ending {
    /// As it should.
    pub(crate) fn done(resumed: bool) -> Ending {
        Ending { outcome: if resumed { Handshake::Resumed } else { Handshake::Ok }, why: String::new() }
    }

    /// It took too long.
    pub(crate) fn timeout() -> Ending {
        Ending { outcome: Handshake::Timeout, why: "it took too long".to_owned() }
    }

    /// The certificate of the client was verified, and yet says nothing that could be relied on.
    pub(crate) fn strange_certificate(error: &tls::Error) -> Ending {
        Ending { outcome: Handshake::BadClientCertificate, why: error.to_string() }
    }

    /// With an error.
    pub(crate) fn failed(error: &io::Error) -> Ending {
        match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
            Some(error) => Ending { outcome: kind_of(error), why: tls::explain_client(error) },
            // What the protocol has nothing to do with: the connection has ended.
            None if error.kind() != io::ErrorKind::InvalidData => {
                Ending { outcome: Handshake::Closed, why: "it has gone".to_owned() }
            }
            None => Ending { outcome: Handshake::Malformed, why: error.to_string() },
        }
    }

    /// Over QUIC, with an error. The library keeps no more of it than the alert (RFC 9001 §4.8).
    pub(crate) fn of_quic(error: &quinn::ConnectionError) -> Ending {
        let alert = |code: quinn::TransportErrorCode| {
            u64::from(code).checked_sub(CRYPTO_ERROR).and_then(|alert| u8::try_from(alert).ok())
        };
        let (outcome, why) = match error {
            quinn::ConnectionError::TransportError(error) => {
                match alert(error.code).map(AlertDescription::from) {
                    Some(AlertDescription::CertificateRequired) => {
                        (Handshake::NoCertificate, tls::explain_client(&Error::NoCertificatesPresented))
                    }
                    Some(
                        AlertDescription::BadCertificate
                        | AlertDescription::UnsupportedCertificate
                        | AlertDescription::CertificateRevoked
                        | AlertDescription::CertificateExpired
                        | AlertDescription::CertificateUnknown
                        | AlertDescription::UnknownCA
                        | AlertDescription::DecryptError,
                    ) => (Handshake::BadClientCertificate, error.reason.clone()),
                    Some(
                        AlertDescription::NoApplicationProtocol
                        | AlertDescription::HandshakeFailure
                        | AlertDescription::ProtocolVersion
                        | AlertDescription::AccessDenied,
                    ) => (Handshake::NothingInCommon, error.reason.clone()),
                    _ => (Handshake::Malformed, error.to_string()),
                }
            }
            quinn::ConnectionError::ConnectionClosed(close) if alert(close.error_code).is_some() => {
                (Handshake::Alert, close.to_string())
            }
            _ => (Handshake::Closed, "it has gone".to_owned()),
        };
        Ending { outcome, why }
    }

    /// Counts it, and says so if it has failed. A client that goes is nobody's trouble: those who look whether a port
    /// is open do that.
    pub(crate) fn tell(self, open: &OpenConnection, peer: SocketAddr) {
        open.listener.series().connections.handshake(self.outcome);
        if !matches!(self.outcome, Handshake::Ok | Handshake::Resumed | Handshake::Closed) {
            let now = open.worker.wheel.now();
            let listener = open.listener.settings().address;
            open.worker.troubles.say_handshake(now, listener, peer, self.outcome, self.why);
        }
    }
}

fn kind_of(error: &Error) -> Handshake {
    match error {
        Error::AlertReceived(_) => Handshake::Alert,
        Error::NoCertificatesPresented => Handshake::NoCertificate,
        Error::InvalidCertificate(_) | Error::InvalidCertRevocationList(_) => Handshake::BadClientCertificate,
        // The library says so where no certificate was chosen.
        Error::NoApplicationProtocol | Error::PeerIncompatible(_) | Error::General(_) => {
            Handshake::NothingInCommon
        }
        Error::FailedToGetCurrentTime | Error::FailedToGetRandomBytes | Error::InconsistentKeys(_) => {
            Handshake::Internal
        }
        _ => Handshake::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

    #[test]
    fn errors_become_words_of_a_closed_list() {
        let of = |error: Error| Ending::failed(&io::Error::new(io::ErrorKind::InvalidData, error)).outcome;
        assert_eq!(of(Error::AlertReceived(AlertDescription::UnknownCA)), Handshake::Alert);
        assert_eq!(of(Error::NoCertificatesPresented), Handshake::NoCertificate);
        assert_eq!(of(CertificateError::Expired.into()), Handshake::BadClientCertificate);
        assert_eq!(of(PeerIncompatible::NoCipherSuitesInCommon.into()), Handshake::NothingInCommon);
        assert_eq!(of(InvalidMessage::InvalidContentType.into()), Handshake::Malformed);
        let gone = Ending::failed(&io::ErrorKind::UnexpectedEof.into());
        assert_eq!((gone.outcome, &*gone.why), (Handshake::Closed, "it has gone"));
        let long = Ending::failed(&io::Error::new(io::ErrorKind::InvalidData, "a record is too long"));
        assert_eq!((long.outcome, &*long.why), (Handshake::Malformed, "a record is too long"));
    }
}
