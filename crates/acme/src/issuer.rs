//! One order from its beginning to the certificate (RFC 8555, section 7.4).
//!
//! Entry point: [`Issuer::obtain`]. It touches nothing that is in use: it returns what it got.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::CertificateDer;
use tokio::time::timeout;

use crate::account::Accounts;
use crate::challenge::Answer;
use crate::{Challenge, Challenges, Error, Host, Pair, Window, moment};

/// From the first request to the certificate, with the time that a hook may take.
const ORDER_TIMEOUT: Duration = Duration::from_secs(900);
/// The authority looks at once, or soon. What takes longer ends in another order.
const POLLING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(240));
/// The pause when the authority says that there was too much of something, without saying for how long.
const RATE_LIMITED: Duration = Duration::from_secs(3600);
/// One host needs one proof.
const MOST_AUTHORIZATIONS: usize = 4;

const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
const TOO_MUCH: &str = "urn:ietf:params:acme:error:rateLimited";

/// Obtains certificates from one directory by one kind of challenge.
pub(crate) struct Issuer {
    pub(crate) accounts: Accounts,
    pub(crate) challenge: Challenge,
    pub(crate) challenges: Rc<dyn Challenges>,
}

/// Why there is no certificate.
pub(crate) struct Refused {
    /// In words.
    pub(crate) why: Error,
    /// Before this moment it makes no sense to try again.
    pub(crate) not_before: Option<SystemTime>,
}

/// A certificate that was obtained, and what went wrong beside it.
pub(crate) struct Obtained {
    pub(crate) pair: Pair,
    pub(crate) warnings: Vec<Error>,
}

/// An error on the way, before it is seen in context.
enum Trouble {
    Ours(Error),
    Theirs(instant_acme::Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Ours(error)
    }
}

impl From<instant_acme::Error> for Trouble {
    fn from(error: instant_acme::Error) -> Trouble {
        Trouble::Theirs(error)
    }
}

impl Issuer {
    /// Obtains a certificate for `host`. `replaces` is the one that it takes the place of, if the authority has been
    /// heard to care (RFC 9773, section 5).
    ///
    /// # Errors
    /// There is none, for a reason that was found out as far as possible.
    pub(crate) async fn obtain(
        &self,
        host: &Host,
        replaces: Option<&CertificateDer<'_>>,
    ) -> Result<Obtained, Refused> {
        // Patience that another order was asked for is not for this one.
        let _ = self.accounts.server.take_retry_after();
        let trouble = match timeout(ORDER_TIMEOUT, self.order(host, replaces)).await {
            Ok(Ok(obtained)) => return Ok(obtained),
            Ok(Err(trouble)) => trouble,
            Err(_) => {
                let minutes = ORDER_TIMEOUT.as_secs() / 60;
                Trouble::Ours(Error::new(format!("the order did not end within {minutes} minutes")))
            }
        };
        let kind = match &trouble {
            Trouble::Theirs(instant_acme::Error::Api(problem)) => problem.r#type.clone().unwrap_or_default(),
            _ => String::new(),
        };
        let mut why = match trouble {
            Trouble::Ours(error) => error,
            Trouble::Theirs(error) => Error::with_sources(&error),
        };
        if let Err(more) = self.accounts.doubt(kind == UNKNOWN_ACCOUNT).await {
            why = Error::new(format!("{why}; and {more}"));
        }
        let asked = self.accounts.server.take_retry_after();
        let not_before =
            asked.or_else(|| (kind == TOO_MUCH).then(|| moment::later(SystemTime::now(), RATE_LIMITED)));
        Err(Refused { why, not_before })
    }

    /// When the authority wants this certificate to be renewed, and how long that answer is good for.
    ///
    /// # Errors
    /// It does not say. Many do not.
    pub(crate) async fn window(&self, leaf: &CertificateDer<'_>) -> Result<(Window, Duration), Error> {
        let id = CertificateIdentifier::try_from(leaf).map_err(Error::new)?;
        let account = self.accounts.open().await?;
        let (info, fresh) = account.renewal_info(&id).await.map_err(|error| Error::with_sources(&error))?;
        let window = info.suggested_window;
        let start = moment::from_unix(window.start.unix_timestamp());
        Ok((Window { start, end: moment::from_unix(window.end.unix_timestamp()) }, fresh))
    }

    async fn order(&self, host: &Host, replaces: Option<&CertificateDer<'_>>) -> Result<Obtained, Trouble> {
        let account = self.accounts.open().await?;
        let mut order = new_order(&account, host, replaces).await?;
        let mut answers = Vec::new();
        let result = self.complete(&mut order, host, &mut answers).await;
        let mut warnings = Vec::new();
        for answer in answers {
            warnings.extend(answer.withdraw().await.err());
        }
        result.map(|pair| Obtained { pair, warnings })
    }

    async fn complete(
        &self,
        order: &mut Order,
        host: &Host,
        answers: &mut Vec<Answer>,
    ) -> Result<Pair, Trouble> {
        self.answer(order, host, answers).await?;
        match order.poll_ready(&POLLING).await {
            Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
            Ok(_) | Err(instant_acme::Error::Api(_)) => {
                return Err(explain(order, host, &self.challenge).await);
            }
            Err(error) => return Err(error.into()),
        }
        let failed = |error: rcgen::Error| {
            Error::new(format!("the request for a certificate cannot be made: {error}"))
        };
        let key = KeyPair::generate().map_err(failed)?;
        // What is asked for is what was wanted, whatever the order says.
        let mut params = CertificateParams::new(vec![host.as_str().to_owned()]).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(failed)?;
        order.finalize_csr(request.der()).await?;
        let chain = order.poll_certificate(&POLLING).await?;
        let pair = Pair { chain, key: key.serialize_pem() };
        pair.read_new(host, SystemTime::now())?;
        Ok(pair)
    }

    /// Answers what is still to be proved.
    async fn answer(&self, order: &mut Order, host: &Host, answers: &mut Vec<Answer>) -> Result<(), Trouble> {
        if order.state().authorizations.len() > MOST_AUTHORIZATIONS {
            return Err(Trouble::Ours(Error::new("the authority wants more proved than one host")));
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            if !matches!(authorization.identifier().identifier, Identifier::Dns(name) if name == host.base())
            {
                return Err(Trouble::Ours(Error::new("the authority wants another host proved")));
            }
            let offered: Vec<String> =
                authorization.challenges.iter().map(|offer| kind(&offer.r#type)).collect();
            let Some(mut challenge) = authorization.challenge(wanted(&self.challenge)) else {
                return Err(Trouble::Ours(Error::new(format!(
                    "the authority does not offer {} for {host}, but: {}",
                    self.challenge.name(),
                    offered.join(", ")
                ))));
            };
            let key = challenge.key_authorization();
            let answer =
                Answer::give(&self.challenges, &self.challenge, host, &challenge.token, &key).await?;
            answers.push(answer);
            challenge.set_ready().await?;
        }
        Ok(())
    }
}

async fn new_order(
    account: &Account,
    host: &Host,
    replaces: Option<&CertificateDer<'_>>,
) -> Result<Order, Trouble> {
    let identifiers = [Identifier::Dns(host.as_str().to_owned())];
    if let Some(id) = replaces.and_then(|leaf| CertificateIdentifier::try_from(leaf).ok())
        && let Ok(order) = account.new_order(&NewOrder::new(&identifiers).replaces(id)).await
    {
        return Ok(order);
    }
    // That it replaces another one is only a courtesy; the authority may not know the other one, or may have seen it
    // replaced already.
    Ok(account.new_order(&NewOrder::new(&identifiers)).await?)
}

/// Why an order became invalid: it says so itself, or one of its challenges does.
async fn explain(order: &mut Order, host: &Host, challenge: &Challenge) -> Trouble {
    let by_itself = order.state().error.clone();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.clone()) {
            let name = challenge.name();
            let why = Error::new(problem.to_string());
            return Trouble::Ours(why.after(format!("the authority could not verify {host} by {name}")));
        }
    }
    match by_itself {
        Some(problem) => Trouble::Theirs(instant_acme::Error::Api(problem)),
        None => Trouble::Ours(Error::new("the authority refused the order without a reason")),
    }
}

fn wanted(challenge: &Challenge) -> ChallengeType {
    match challenge {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        Challenge::Dns01 { .. } => ChallengeType::Dns01,
    }
}

fn kind(kind: &ChallengeType) -> String {
    match kind {
        ChallengeType::Http01 => "http-01".to_owned(),
        ChallengeType::TlsAlpn01 => "tls-alpn-01".to_owned(),
        ChallengeType::Dns01 => "dns-01".to_owned(),
        ChallengeType::Unknown(name) => name.clone(),
        _ => "another kind".to_owned(),
    }
}
