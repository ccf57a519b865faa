//! The way to an ACME server: HTTPS with bounds on time and size.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::ClientConfig;
use tls::Authorities;
use tokio::time::timeout;

use crate::{Error, moment};

/// From the first byte of a connection to the last one of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Nothing waits longer for a server that asks for more.
const MOST_PATIENCE: Duration = Duration::from_secs(7 * 86_400);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// No answer is nearly as long: the longest is a chain of certificates.
const LONGEST_BODY: usize = 256 * 1024;

/// The way to an ACME server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Directory {
    http: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    retry_after: Arc<AtomicU64>,
}

impl Directory {
    /// A way that trusts `authorities`.
    ///
    /// # Errors
    /// The library of TLS refuses; it does not.
    pub(crate) fn new(authorities: &Authorities) -> Result<Directory, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(error.to_string()))?
            .with_root_certificates(Arc::clone(authorities.roots()))
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(tcp);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(2)
            .build(connector);
        Ok(Directory { http, retry_after: Arc::default() })
    }

    /// Until when the server asked for patience since the last call, if it did (RFC 8555, section 6.6).
    pub(crate) fn take_retry_after(&self) -> Option<SystemTime> {
        let seconds = self.retry_after.swap(0, Ordering::Relaxed);
        (seconds > 0).then(|| moment::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }
}

impl HttpClient for Directory {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("gateward"));
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = self.http.request(request);
        let retry_after = Arc::clone(&self.retry_after);
        Box::pin(async move {
            let whole = async {
                let (mut parts, body) =
                    answer.await.map_err(|error| Error::with_sources(&error))?.into_parts();
                let body = Limited::new(body, LONGEST_BODY).collect().await;
                let body = body.map_err(|error| Error::with_sources(error.as_ref()))?.to_bytes();
                let now = SystemTime::now();
                let until = patience(&parts.headers, now);
                if matches!(parts.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                    retry_after.store(until.map_or(0, moment::to_unix), Ordering::Relaxed);
                }
                bound_patience(&mut parts.headers, until, now);
                Ok(BytesResponse { parts, body: Box::new(body) })
            };
            let answer = timeout(REQUEST_TIMEOUT, whole).await.unwrap_or_else(|_| {
                Err(Error::new(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())))
            });
            answer.map_err(|why| {
                instant_acme::Error::Other(Box::new(why.after(format!("{host} cannot be asked"))))
            })
        })
    }
}

/// The library adds what it reads here to the time, and does not look whether that is possible.
fn bound_patience(headers: &mut HeaderMap, until: Option<SystemTime>, now: SystemTime) {
    headers.remove(RETRY_AFTER);
    if let Some(until) = until {
        let seconds = until.duration_since(now).unwrap_or_default().as_secs();
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.min(MOST_PATIENCE.as_secs())));
    }
}

/// RFC 9110, section 10.2.3.
fn patience(headers: &HeaderMap, now: SystemTime) -> Option<SystemTime> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(moment::later(now, Duration::from_secs(seconds))),
        Err(_) => httpdate::parse_http_date(value).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_read_in_both_forms() {
        let now = moment::from_unix(1_700_000_000);
        for (value, expected) in [
            ("120", Some(1_700_000_120)),
            (" 0 ", Some(1_700_000_000)),
            ("Wed, 15 Nov 2023 00:00:00 GMT", Some(1_700_006_400)),
            ("18446744073709551615", Some(253_402_300_799)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            let until = patience(&headers, now);
            assert_eq!(until, expected.map(moment::from_unix), "{value}");
            let mut bounded = headers.clone();
            bound_patience(&mut bounded, until, now);
            let bounded =
                bounded.get(RETRY_AFTER).map(|value| value.to_str().unwrap().parse::<u64>().unwrap());
            assert_eq!(bounded, expected.map(|at| ((at - 1_700_000_000) as u64).min(604_800)), "{value}");
        }
        assert_eq!(patience(&HeaderMap::new(), now), None);
    }
}
