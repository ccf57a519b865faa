//! The text of a file to a set of endpoints.
//!
//! One language for YAML and JSON, which is a part of it. A file is taken as a whole or not at all: the first mistake
//! ends the reading, and says its place. Nothing is opened here. Entry point: [`parse`].

use std::borrow::Cow;
use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use crate::Endpoint;

/// The most endpoints in a file.
pub(super) const MOST_ENDPOINTS: usize = 1000;
/// The largest weight, as in the configuration.
const LARGEST_WEIGHT: u32 = 1000;
/// The longest name of a zone, in bytes.
const LONGEST_ZONE: usize = 128;
/// The most characters of a file that are repeated in a report.
const MOST_SHOWN: usize = 60;

const FORM: &str = "write a list of `10.0.0.1:8080` or `{ address: \"10.0.0.1:8080\", weight: 2, zone: a }`, \
                    alone or as `endpoints`, or of `{ targets: [...], labels: {...} }`";
const ADDRESS: &str = "write an IP address and a port, such as `10.0.0.1:8080` or `\"[fd00::1]:8080\"`";
const NAME: &str = "write the IP address; names are for `endpoints` and `discover: { dns }` of the service";
const SCHEME: &str = "write only `10.0.0.1:8080`: how to speak to endpoints is said in the service";
const HALF: &str = "write the value, or remove the key; the file may have been written only in part";
const EMPTY: &str = "write `[]` if there are no endpoints; the file may have been written only in part";

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn of(marker: &Marker) -> Place {
        Place { line: marker.line(), column: marker.col() + 1 }
    }

    fn mistake<T>(self, what: impl Display, help: &str) -> Result<T, String> {
        Err(format!("line {}, column {}: {what}: {help}", self.line, self.column))
    }
}

/// The endpoints that stand in a file, sorted by address.
///
/// # Errors
/// In words: the place of the first mistake, what it is, and what to do.
pub(super) fn parse(bytes: &[u8]) -> Result<Arc<[Endpoint]>, String> {
    let text = str::from_utf8(bytes).or_else(|error| {
        let (before, _) = bytes.split_at(error.valid_up_to());
        let before = str::from_utf8(before).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place { line, column }.mistake("this is not text", "write the file in UTF-8")
    })?;
    let options = granit_parser::options! { emit_unresolved_aliases: true, emit_comments: false };
    let mut reader =
        Reader { parser: Parser::new_from_str_with_options(text, options), seen: 0, found: vec![] };
    reader.document()?;
    once_each(reader.found)
}

/// Takes the events of the parser.
struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// How many addresses were read.
    seen: usize,
    found: Vec<(Endpoint, Place)>,
}

/// An entry of the list, as far as it was read.
#[derive(Default)]
struct Entry {
    addresses: Option<Vec<(SocketAddr, Place)>>,
    weight: Option<u32>,
    zone: Option<Arc<str>>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<(), String> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::SequenceStart(..), _) => break self.entries()?,
                (Event::MappingStart(..), at) => break self.section(at)?,
                (event, at) if is_nothing(&event) => return at.mistake("the file is empty", EMPTY),
                (_, at) => return at.mistake("this is not a list", FORM),
            }
        }
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(()),
                (_, at) => return at.mistake("a second document begins here", "put all into one list"),
            }
        }
    }

    /// `{ endpoints: [...] }`, from behind the bracket.
    fn section(&mut self, start: Place) -> Result<(), String> {
        let mut listed = None;
        while let Some((key, at)) = self.key()? {
            if key != "endpoints" {
                return at.mistake(format!("the key `{}` is not known here", shown(&key)), FORM);
            }
            once(&mut listed, (), "endpoints", at)?;
            match self.next()? {
                (Event::SequenceStart(..), _) => self.entries()?,
                (_, at) => return at.mistake("`endpoints` is not a list", EMPTY),
            }
        }
        if listed.is_some() { Ok(()) } else { start.mistake("`endpoints` is missing", EMPTY) }
    }

    /// The entries of a list, from behind its bracket.
    fn entries(&mut self) -> Result<(), String> {
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(()),
                (Event::Scalar(text, ..), at) => {
                    let address = self.address(&text, at)?;
                    self.found.push((Endpoint { address, weight: None, zone: None }, at));
                }
                (Event::MappingStart(..), at) => self.entry(at)?,
                (_, at) => return at.mistake("this is not an endpoint", FORM),
            }
        }
    }

    /// One entry with keys, from behind the bracket.
    fn entry(&mut self, start: Place) -> Result<(), String> {
        let mut entry = Entry::default();
        while let Some((key, at)) = self.key()? {
            match &*key {
                "url" | "address" => {
                    let (text, place) = self.text()?;
                    let address = self.address(&text, place)?;
                    once(&mut entry.addresses, vec![(address, place)], "address", at)?;
                }
                "targets" => {
                    let targets = self.targets()?;
                    once(&mut entry.addresses, targets, "address", at)?;
                }
                "labels" => self.labels(&mut entry)?,
                "weight" => self.weight(&mut entry, at)?,
                "zone" => self.zone(&mut entry, at)?,
                _ => return at.mistake(format!("the key `{}` is not known here", shown(&key)), FORM),
            }
        }
        let Entry { addresses: Some(addresses), weight, zone } = entry else {
            return start.mistake("this has no address", FORM);
        };
        let one = |(address, at)| (Endpoint { address, weight, zone: zone.clone() }, at);
        self.found.extend(addresses.into_iter().map(one));
        Ok(())
    }

    fn targets(&mut self) -> Result<Vec<(SocketAddr, Place)>, String> {
        let mut targets = Vec::new();
        match self.next()? {
            (Event::SequenceStart(..), _) => {}
            // What some tools write for an empty list.
            (Event::Scalar(text, ScalarStyle::Plain, ..), _) if text == "null" => return Ok(targets),
            (_, at) => return at.mistake("`targets` is not a list", HALF),
        }
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(targets),
                (Event::Scalar(text, ..), at) => targets.push((self.address(&text, at)?, at)),
                (_, at) => return at.mistake("this is not an address", ADDRESS),
            }
        }
    }

    /// Labels belong to whoever wrote them: those that mean nothing here are passed over, and an empty one is as good
    /// as none.
    fn labels(&mut self, entry: &mut Entry) -> Result<(), String> {
        match self.next()? {
            (Event::MappingStart(..), _) => {}
            (Event::Scalar(text, ScalarStyle::Plain, ..), _) if text == "null" => return Ok(()),
            (_, at) => return at.mistake("`labels` is not a section of names and texts", HALF),
        }
        while let Some((key, at)) = self.key()? {
            match &*key {
                "weight" => self.weight(entry, at)?,
                "zone" => self.zone(entry, at)?,
                _ => match self.next()? {
                    (Event::Scalar(..), _) => {}
                    (_, at) => return at.mistake("the value of a label must be text", "put it in quotes"),
                },
            }
        }
        Ok(())
    }

    fn weight(&mut self, entry: &mut Entry, key: Place) -> Result<(), String> {
        let (text, at) = self.text()?;
        if text.is_empty() {
            return Ok(());
        }
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(weight @ 1..=LARGEST_WEIGHT) if digits => once(&mut entry.weight, weight, "weight", key),
            _ => at.mistake(
                format!("`{}` is not a weight", shown(&text)),
                "write a whole number from 1 to 1000; leave the endpoint out if it is to have no requests",
            ),
        }
    }

    fn zone(&mut self, entry: &mut Entry, key: Place) -> Result<(), String> {
        let (text, at) = self.text()?;
        if text.is_empty() {
            return Ok(());
        }
        if text.len() > LONGEST_ZONE || text.chars().any(char::is_control) {
            let what = format!("`{}` is not the name of a zone", shown(&text));
            return at.mistake(what, "write one line of at most 128 bytes");
        }
        once(&mut entry.zone, Arc::from(&*text), "zone", key)
    }

    fn address(&mut self, text: &str, at: Place) -> Result<SocketAddr, String> {
        self.seen += 1;
        if self.seen > MOST_ENDPOINTS {
            let what = format!("there are more than {MOST_ENDPOINTS} endpoints");
            return at.mistake(what, "remove some, or put a balancer in front of them");
        }
        address(text).or_else(|(what, help)| at.mistake(format!("`{}` {what}", shown(text)), help))
    }

    /// The next key of a section, or `None` behind the last one.
    fn key(&mut self) -> Result<Option<(Cow<'a, str>, Place)>, String> {
        match self.next()? {
            (Event::MappingEnd, _) => Ok(None),
            (Event::Scalar(key, ..), at) => Ok(Some((key, at))),
            (_, at) => at.mistake("a key must be text", FORM),
        }
    }

    fn text(&mut self) -> Result<(Cow<'a, str>, Place), String> {
        match self.next()? {
            (event, at) if is_nothing(&event) => at.mistake("there is no value here", HALF),
            (Event::Scalar(text, ..), at) => Ok((text, at)),
            (_, at) => at.mistake("this is not a single value", FORM),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Place), String> {
        let (event, at) = match self.parser.next_event() {
            Some(Ok((event, span))) => (event, Place::of(&span.start)),
            Some(Err(error)) => {
                let what = format!("this is neither YAML nor JSON: {}", error.info());
                let help = "check indentation, brackets and quotes here and in the line before; \
                            the file may have been written only in part";
                return Place::of(error.marker()).mistake(what, help);
            }
            None => (Event::StreamEnd, Place { line: 1, column: 1 }),
        };
        // They make a file say something else than what stands there.
        if event.is_alias() || event.anchor_id().is_some() || event.tag().is_some() {
            return at.mistake("aliases, anchors and tags are not known here", "write the value itself");
        }
        Ok((event, at))
    }
}

/// Whether a value is not there: the parser writes `~` for it.
fn is_nothing(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) => matches!(&**text, "" | "~" | "null" | "Null" | "NULL"),
        event => *event == Event::StreamEnd,
    }
}

fn once<T>(slot: &mut Option<T>, value: T, key: &str, at: Place) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => at.mistake(format!("this is the second `{key}`"), "remove one of them"),
    }
}

/// An address, or what the text is instead, and what to do.
fn address(text: &str) -> Result<SocketAddr, (&'static str, &'static str)> {
    let (url, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            (true, rest.strip_suffix('/').unwrap_or(rest))
        }
        Some(_) => return Err(("does not begin with `http://`", SCHEME)),
        None => (false, text),
    };
    if let Ok(address) = rest.parse::<SocketAddr>() {
        return if address.port() > 0 { Ok(address) } else { Err(("has port 0", ADDRESS)) };
    }
    let inner = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let alone = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => rest.parse::<IpAddr>().ok(),
    };
    if let Some(ip) = alone {
        // Without brackets, the end of an IPv6 address could be meant to be the port.
        let clear = url && (inner.is_some() || ip.is_ipv4());
        return if clear { Ok(SocketAddr::new(ip, 80)) } else { Err(("has no port", ADDRESS)) };
    }
    if rest.contains(['/', '?', '#', '@']) {
        return Err(("has more than an address and a port", SCHEME));
    }
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    let name = host.contains(|one: char| one.is_ascii_alphabetic())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if name { Err(("is a name and not an address", NAME)) } else { Err(("is not an address", ADDRESS)) }
}

/// Sorted by address. An address that is there twice must say the same.
fn once_each(mut found: Vec<(Endpoint, Place)>) -> Result<Arc<[Endpoint]>, String> {
    // Stable: of two with one address, the one that stands further down is reported.
    found.sort_by_key(|(endpoint, _)| endpoint.address);
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(found.len());
    for (endpoint, at) in found {
        match endpoints.last() {
            Some(last) if *last == endpoint => {}
            Some(last) if last.address == endpoint.address => {
                let what = format!("{} is listed before with another weight or zone", endpoint.address);
                return at.mistake(what, "remove one of the two");
            }
            _ => endpoints.push(endpoint),
        }
    }
    Ok(endpoints.into())
}

/// As much of a text as belongs into a report.
fn shown(text: &str) -> String {
    let cut = if text.chars().nth(MOST_SHOWN).is_some() { "…" } else { "" };
    text.chars().take(MOST_SHOWN).flat_map(char::escape_debug).chain(cut.chars()).collect()
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
