//! `state`: what gateways share.

use config::{Config, SharedState, State};
use diagnostics::{Code, Diagnostic, Diagnostics};
use store::{Address, Settings, Trust};

use crate::certificates;
use crate::outside::Outside;

/// Whether gateways share state, whatever is wrong with where.
pub(crate) fn is_shared(config: &Config) -> bool {
    matches!(config.state, State::Shared(_))
}

/// Where the store is, and how it is reached; `None` where there is none, and where a mistake was found.
pub(crate) fn compile(config: &Config, outside: &Outside, diagnostics: &mut Diagnostics) -> Option<Settings> {
    let State::Shared(raw) = &config.state else { return None };
    let address = match Address::parse(raw.url.expose()) {
        Ok(address) => address,
        Err(error) => {
            let message = format!("this is no place for state: {error}");
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, raw.url.span, message)
                    .help("write a URL such as `redis://127.0.0.1:6379`, or `memory` for none"),
            );
            return None;
        }
    };
    let trust = trust(raw, &address, outside, diagnostics)?;
    Some(Settings { trust, timeout: raw.timeout.value.get(), ..Settings::new(address) })
}

fn trust(
    raw: &SharedState,
    address: &Address,
    outside: &Outside,
    diagnostics: &mut Diagnostics,
) -> Option<Trust> {
    let before = diagnostics.errors();
    let written = [&raw.ca, &raw.cert, &raw.key].into_iter().flatten().map(|file| file.span);
    let first = written.chain(raw.server_name.as_ref().map(|name| name.span)).next();
    if let (Some(span), false) = (first, address.is_tls()) {
        diagnostics.push(
            Diagnostic::error(Code::ConflictingKeys, span, "there is no TLS with this store")
                .help("write `rediss://` in the URL, or remove `ca`, `cert`, `key` and `server_name`"),
        );
    }
    if let Some(ca) = &raw.ca {
        certificates::authorities(ca, diagnostics);
    } else if address.is_tls()
        && let Err(error) = (outside.authorities)()
    {
        let message = format!("the system trusts no authority: {error}");
        diagnostics.push(Diagnostic::error(Code::InvalidCertificate, raw.url.span, message).help(
            "name the file of the authority of the store: `state: { url: …, ca: certs/store-ca.pem }`",
        ));
    }
    let certificate = raw.cert.as_ref().zip(raw.key.as_ref());
    if let Some((cert, key)) = certificate {
        certificates::pair(cert, key, outside.now, diagnostics);
    }
    (diagnostics.errors() == before).then(|| Trust {
        authorities: raw.ca.as_ref().map(|ca| ca.text().to_owned()),
        certificate: certificate.map(|(cert, key)| (cert.text().to_owned(), key.text().to_owned())),
        server_name: raw.server_name.as_ref().map(|name| name.as_str().into()),
    })
}
