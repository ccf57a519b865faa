//! Lets requests in or keeps them out by country, and tells services the country.

use std::net::IpAddr;

use document::FileBytes;
use maxminddb::{PathElement, Reader, WithinOptions};
use message::Reply;

use super::country::{Countries, Country};
use crate::{Flow, RequestCx, ResponseCx, Stage};

/// The kind, as logs have it.
const KIND: &str = "geo";
/// The stable name of a refusal, in its problem document.
const CODE: &str = "geo-refused";
/// What a reader of the refusal is told.
const DETAIL: &str = "Requests from this country are not served here.";
/// Why somebody is refused whose country is denied.
const DENIED: &str = "denied";
/// Where the country stands in a record.
const COUNTRY: [PathElement<'static>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];

/// A database of addresses.
#[derive(Debug)]
pub(crate) struct Database(pub(crate) Box<Reader<FileBytes>>);

impl Database {
    /// The country that an address is in. What is broken in a record makes it unknown.
    fn country(&self, address: IpAddr) -> Option<Country> {
        let found = self.0.lookup(address.to_canonical()).ok()?;
        Country::of(found.decode_path::<&str>(&COUNTRY).ok()??)
    }

    /// Whether one of the first networks has a country. All networks count, those without data and those that are
    /// there twice too: then a broken tree takes no longer than a whole one.
    pub(crate) fn tells_countries(&self, first: usize) -> bool {
        let all = WithinOptions::default().include_networks_without_data().include_aliased_networks();
        let Ok(networks) = self.0.networks(all) else { return false };
        networks
            .take(first)
            .map_while(Result::ok)
            .any(|found| matches!(found.decode_path::<&str>(&COUNTRY), Ok(Some(_))))
    }
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) database: Database,
    /// `None` where all may come that are not denied.
    pub(crate) allow: Option<Countries>,
    pub(crate) deny: Countries,
    pub(crate) refuse_unknown: bool,
    pub(crate) header: Option<Box<[u8]>>,
}

impl Ready {
    /// At the edge: nothing is spent on whoever may not come.
    pub const STAGE: Stage = Stage::Edge;
    /// It refuses requests.
    pub const CAN_REFUSE: bool = true;

    /// Whether it keeps anybody out, and does not only tell the service.
    pub fn refuses(&self) -> bool {
        self.allow.is_some() || self.refuse_unknown || !self.deny.is_empty()
    }

    /// Looks the country up, once.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let country = self.database.country(cx.client);
        if let Some(reason) = self.objection(country) {
            cx.state.stopped_by = Some((KIND, reason));
            let client = cx.client.to_canonical();
            cx.state.remark(KIND, || match country {
                None => format!("the country of {client} is not known"),
                Some(country) if reason == DENIED => format!("{client} is in {country}, which is in deny"),
                Some(country) => format!("{client} is in {country}, which is not in allow"),
            });
            return Flow::Reply(
                Reply::problem(403, CODE, DETAIL, "client", false, cx.request_id())
                    .header("cache-control", "no-store"),
            );
        }
        if let Some(name) = &self.header {
            cx.head.headers.remove(name);
            if let Some(country) = country {
                cx.head.headers.push(name, country.letters());
            }
        }
        Flow::Continue
    }

    /// Why somebody from there may not come, in a word.
    fn objection(&self, country: Option<Country>) -> Option<&'static str> {
        let is_not_allowed = |country| self.allow.as_ref().is_some_and(|allow| !allow.contains(country));
        match country {
            None => self.refuse_unknown.then_some("unknown_country"),
            Some(country) if self.deny.contains(country) => Some(DENIED),
            Some(country) => is_not_allowed(country).then_some("not_allowed"),
        }
    }

    /// The field that tells services of countries, if there is one.
    pub fn told_fields(&self) -> Vec<&[u8]> {
        self.header.iter().map(|name| &**name).collect()
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}
}
