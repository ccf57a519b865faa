//! OpenAPI 3.0 and 3.1: which operation a request is for, and whether it is as described.
//!
//! Only what judges messages is read: paths, parameters, bodies, responses, schemas. Entry points:
//! [`Api::compile`], [`Api::find`], [`Operation`].

mod description;
mod dialect;
mod documents;
mod media;
mod operation;
mod parameter;
mod shape;
mod template;
mod text;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::{Mistake, Resolve};
use description::Description;
use dialect::Dialect;
use documents::{At, Documents};
pub use media::{Body, MAX_BODY};
pub use operation::{Findings, Operation, RequestView};
use template::Paths;

/// Methods as OpenAPI writes them, and as HTTP does.
const METHODS: [(&str, &str); 8] = [
    ("get", "GET"),
    ("put", "PUT"),
    ("post", "POST"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
    ("head", "HEAD"),
    ("patch", "PATCH"),
    ("trace", "TRACE"),
];

/// How a description is to be understood.
#[derive(Clone, Debug, Default)]
pub struct ApiOptions {
    /// The name of the document, a path with `/`: references to other documents are relative to it.
    pub name: String,
    /// `format` is a remark and not asserted.
    pub ignore_formats: bool,
    /// What no parameter describes must not be in the query, except keys of `securitySchemes`.
    pub refuse_unknown_query: bool,
    /// The paths of `servers` are left out: the path that is looked up has none of them.
    pub ignore_servers: bool,
}

/// A compiled description.
pub struct Api {
    paths: Paths,
    /// The operations of each path.
    items: Vec<Vec<(&'static str, Arc<Operation>)>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("paths", &self.items.len()).finish_non_exhaustive()
    }
}

/// What is at a path.
#[derive(Debug)]
pub enum Found<'a, 'p> {
    /// An operation, and the parameters in the path: names, and values as they were sent.
    Operation(&'a Arc<Operation>, Vec<(&'a str, &'p [u8])>),
    /// The path is not described.
    NoPath,
    /// The path is described, but not for this method; these are the ones that are (RFC 9110 §10.2.1).
    NoMethod(Vec<&'static str>),
}

impl Api {
    /// Compiles a description and all it refers to.
    ///
    /// # Errors
    /// Every mistake that was found. Schemas that nothing uses are not looked at.
    pub fn compile(document: &Value, options: &ApiOptions, resolve: &Resolve) -> Result<Api, Vec<Mistake>> {
        let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
        let dialect = match version.split('.').take(2).collect::<Vec<_>>().as_slice() {
            ["3", "0"] => Dialect::V30,
            ["3", "1"] => Dialect::V31,
            _ => {
                let message = "must be 3.0 or 3.1: other versions are not supported".to_owned();
                return Err(vec![Mistake { pointer: "/openapi".into(), message }]);
            }
        };
        let documents = Documents::new(&options.name, document.clone(), resolve);
        let mut from = Description::new(documents, dialect, !options.ignore_formats);
        let known = options.refuse_unknown_query.then(|| keys_in_query(&mut from));
        let mut api = Api { paths: Paths::default(), items: Vec::new() };
        let root = At::root();
        for path in from.names(&root, "paths") {
            let at = root.member("paths").member(&path);
            if path.starts_with("x-") {
                continue;
            }
            let Some(item) = from.settle(&at) else { continue };
            let bases = if options.ignore_servers { vec![String::new()] } else { bases(&mut from, &item) };
            for base in bases {
                if let Err(why) = api.paths.insert(&format!("{base}{path}"), api.items.len()) {
                    from.complain(&at, why);
                }
            }
            api.items.push(read_item(&mut from, &item, &path, known.as_ref()));
        }
        let mistakes = from.into_mistakes();
        if mistakes.is_empty() { Ok(api) } else { Err(mistakes) }
    }

    /// The operation for a method and a path in its canonical form, without query. What is described for GET
    /// answers HEAD too.
    pub fn find<'a, 'p>(&'a self, method: &[u8], path: &'p [u8]) -> Found<'a, 'p> {
        let Some((number, values)) = self.paths.find(path) else { return Found::NoPath };
        let Some(item) = self.items.get(number) else { return Found::NoPath };
        let of = |method: &[u8]| item.iter().find(|(name, _)| name.as_bytes() == method);
        let found = of(method).or_else(|| if method == b"HEAD" { of(b"GET") } else { None });
        match found {
            Some((_, operation)) => Found::Operation(operation, values),
            None => {
                let mut allowed: Vec<&'static str> = item.iter().map(|(name, _)| *name).collect();
                if allowed.contains(&"GET") && !allowed.contains(&"HEAD") {
                    allowed.push("HEAD");
                }
                Found::NoMethod(allowed)
            }
        }
    }
}

fn read_item(
    from: &mut Description,
    item: &At,
    path: &str,
    known: Option<&Vec<String>>,
) -> Vec<(&'static str, Arc<Operation>)> {
    let mut operations = Vec::new();
    for (key, method) in METHODS {
        let at = item.member(key);
        if from.get(&at).is_none() {
            continue;
        }
        if !from.get(&at).is_some_and(Value::is_object) {
            from.complain(&at, "must be an object");
            continue;
        }
        let operation = Operation::read(from, item, &at, format!("{method} {path}"), known.cloned());
        let stray = operation.path_parameters().find(|name| !path.contains(&format!("{{{name}}}")));
        if let Some(name) = stray {
            let message = format!("has a parameter {name} that is not in the path");
            from.complain(&at.member("parameters"), message);
        }
        operations.push((method, Arc::new(operation)));
    }
    operations
}

/// The paths of the servers: those of the path, or those of all.
fn bases(from: &mut Description, item: &At) -> Vec<String> {
    let own = item.member("servers");
    let list = if from.get(&own).is_some() { own } else { At::root().member("servers") };
    let mut bases: Vec<String> = Vec::new();
    for index in 0..from.get(&list).and_then(Value::as_array).map_or(0, Vec::len) {
        let server = list.element(index);
        let Some(url) = from.text(&server, "url") else {
            from.complain(&server, "must have a `url`");
            continue;
        };
        let base = base(url, |name| from.text(&server.member("variables").member(name), "default"));
        if let Some(base) = base {
            if !bases.contains(&base) {
                bases.push(base);
            }
        } else {
            from.complain(&server.member("url"), "has a variable without `default`");
        }
    }
    if bases.is_empty() { vec![String::new()] } else { bases }
}

/// The path of a URL whose variables have their usual values, without `/` at the end.
fn base<'v>(url: &str, variable: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
    let mut full = String::new();
    let mut rest = url;
    while let Some((text, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}')?;
        full.push_str(text);
        full.push_str(variable(name)?);
        rest = behind;
    }
    full.push_str(rest);
    let path = match full.split_once("//") {
        Some((scheme, rest)) if scheme.is_empty() || scheme.ends_with(':') => {
            rest.find('/').map_or("", |at| &rest[at..])
        }
        _ => full.as_str(),
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    Some(if path.is_empty() { String::new() } else { format!("/{path}") })
}

/// The names of API keys that are sent in the query.
fn keys_in_query(from: &mut Description) -> Vec<String> {
    let components = At::root().member("components");
    let mut names = Vec::new();
    for scheme in from.names(&components, "securitySchemes") {
        let Some(at) = from.settle(&components.member("securitySchemes").member(&scheme)) else { continue };
        if from.text(&at, "in") == Some("query") {
            names.extend(from.text(&at, "name").map(str::to_owned));
        }
    }
    names
}
