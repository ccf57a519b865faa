//! Checks and prepares the policy, its database above all.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::BinaryFile;
use maxminddb::Reader;

use super::config::{Raw, Unknown};
use super::country::{Countries, Country};
use super::run::{Database, Ready};
use crate::Compiling;
use crate::told::told_name;

/// How many networks of a database are asked whether it tells countries at all.
const PROBED: usize = 100_000;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    let header = match &raw.header {
        Some(name) => told_name(name, &[], diagnostics).map(Some),
        None => Some(None),
    };
    let database = database(&raw.database, diagnostics);
    warn_of_contradictions(raw, diagnostics);
    let (header, database) = (header?, database?);
    if diagnostics.has_error_in(raw.span) {
        return None;
    }
    let refuses = raw.allow.is_some() || raw.deny.is_some();
    let refuse_unknown = match &raw.unknown {
        Some(unknown) => unknown.value == Unknown::Refuse,
        None => refuses,
    };
    Some(Ready {
        database,
        allow: raw.allow.as_deref().map(set),
        deny: raw.deny.as_deref().map(set).unwrap_or_default(),
        refuse_unknown,
        header,
    })
}

fn set(countries: &[Spanned<Country>]) -> Countries {
    let mut set = Countries::default();
    countries.iter().for_each(|country| set.insert(country.value));
    set
}

fn warn_of_contradictions(raw: &Raw, diagnostics: &mut Diagnostics) {
    for country in raw.allow.iter().flatten() {
        let denied = raw.deny.iter().flatten().find(|denied| denied.value == country.value);
        if let Some(denied) = denied {
            let message = format!("`{}` is allowed and denied", country.value);
            diagnostics.push(
                Diagnostic::warning(Code::UnusedSetting, country.span, message)
                    .related(denied.span, "this one wins")
                    .help("remove one of them"),
            );
        }
    }
}

/// Opens the database. One that tells no countries would refuse everybody, or nobody, without a word.
fn database(file: &BinaryFile, diagnostics: &mut Diagnostics) -> Option<Database> {
    let path = file.path.display();
    let mut refuse = |message: String, help: &'static str| {
        diagnostics.push(Diagnostic::error(Code::InvalidValue, file.span, message).help(help));
    };
    let reader = match Reader::from_source(file.bytes.clone()) {
        Ok(reader) => reader,
        Err(error) => {
            let help = "it must be a whole file in the format of MaxMind, unpacked: `GeoLite2-Country.mmdb`";
            refuse(format!("`{path}` is not a database of addresses: {error}"), help);
            return None;
        }
    };
    let database = Database(Box::new(reader));
    if !database.tells_countries(PROBED) {
        let kind: String = database.0.metadata().database_type.chars().take(60).collect();
        let message = format!("`{path}` ({}) does not tell countries", diagnostics::visible(&kind));
        refuse(
            message,
            "use one whose records have `country.iso_code`: GeoLite2-Country, GeoLite2-City or alike",
        );
        return None;
    }
    Some(database)
}
