//! The library that validates, behind one wall: nothing else in this crate names it.
//!
//! Its releases come often and change its interface, so what we use of it stands here: compiling with linear
//! regular expressions and without any network, the answer whether an instance is valid, and why not, both
//! within a bounded effort. It must not know OpenAPI. Entry points: [`Engine::build`], [`Engine::complaints`].

mod watched;
mod wording;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::meta::MetaValidator;
use jsonschema::{PatternOptions, Retrieve, Uri, ValidationError, Validator};
use serde_json::Value;

use crate::reader::{Json, Tree};
use crate::{Draft, MAX_DOCUMENTS, MAX_VIOLATIONS, Mistake, Resolve};
use watched::{Effort, Representation, Watched};

/// Where documents without an address of their own are thought to be, so that references can be relative.
const NOWHERE: &str = "json-schema:///";

/// What each value of an instance may cost while it is checked, beside what each instance may.
const STEPS_PER_VALUE: u64 = 256;
/// What each instance may cost. A million steps take some ten milliseconds.
const STEPS: u64 = 1_000_000;
/// What may be spent on telling why: each step may keep an explanation.
const STEPS_OF_TELLING: u64 = 50_000;

/// What is wrong at one place of an instance.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// JSON pointer into the instance.
    pub(crate) pointer: String,
    /// The keyword of the schema that is not met.
    pub(crate) keyword: &'static str,
    /// Why, without what was sent.
    pub(crate) message: String,
}

/// A compiled schema.
pub(crate) struct Engine {
    validator: Validator<Representation>,
}

/// How to compile.
pub(crate) struct Setup<'s> {
    /// The name of the document: what references to other files are relative to.
    pub(crate) name: &'s str,
    pub(crate) draft: Option<Draft>,
    /// Whether `format` is asserted; `None` as the draft says.
    pub(crate) formats: Option<bool>,
}

/// Gives the library what the resolver of the caller gives, and keeps what it could not give: the library goes
/// on without it and later tells only that something is missing.
struct Library {
    resolve: Resolve,
    taken: AtomicUsize,
    missing: Arc<Mutex<Vec<(String, String)>>>,
}

impl Library {
    fn get(&self, name: &str) -> Result<Value, String> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= MAX_DOCUMENTS {
            return Err(format!("there are more than {MAX_DOCUMENTS} documents"));
        }
        (self.resolve)(name)
    }
}

impl Retrieve for Library {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let name = uri.as_str().strip_prefix(NOWHERE).unwrap_or(uri.as_str());
        self.get(name).map_err(|why| {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            if missing.len() < MAX_VIOLATIONS {
                missing.push((name.to_owned(), why.clone()));
            }
            why.into()
        })
    }
}

impl Engine {
    pub(crate) fn build(
        schema: &Value,
        setup: &Setup<'_>,
        resolve: &Resolve,
    ) -> Result<Engine, Vec<Mistake>> {
        let meta = meta_schema(schema, setup.draft).map_err(|error| vec![unknown_draft(schema, &error)])?;
        let mut mistakes = Vec::new();
        for error in meta.iter_errors(schema).take(MAX_VIOLATIONS) {
            wording::tell(&error, |pointer, _, message| mistakes.push(Mistake { pointer, message }));
        }
        if !mistakes.is_empty() {
            // Each vocabulary of a draft says the same of what is no schema at all.
            mistakes.dedup();
            mistakes.truncate(MAX_VIOLATIONS);
            return Err(mistakes);
        }
        let missing = Arc::new(Mutex::new(Vec::new()));
        let library = Library {
            resolve: Arc::clone(resolve),
            taken: AtomicUsize::new(0),
            missing: Arc::clone(&missing),
        };
        let mut options = jsonschema::options_for::<Representation>()
            .with_base_uri(format!("{NOWHERE}{}", setup.name.trim_start_matches('/')))
            .with_retriever(library)
            .with_pattern_options(PatternOptions::regex())
            // To check whether a text is a regular expression is to compile what a stranger wrote.
            .with_format("regex", |_: &str| true);
        if let Some(draft) = setup.draft {
            options = options.with_draft(native(draft));
        }
        if let Some(formats) = setup.formats {
            options = options.should_validate_formats(formats);
        }
        match options.build(schema) {
            Ok(validator) => Ok(Engine { validator }),
            Err(error) => {
                let missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
                let lacks = missing.iter().map(|(name, why)| Mistake {
                    pointer: place_of_reference(schema, name).unwrap_or_default(),
                    message: format!("cannot have {name}: {why}"),
                });
                let lacks: Vec<Mistake> = lacks.collect();
                Err(if lacks.is_empty() { vec![mistake(&error, schema)] } else { lacks })
            }
        }
    }

    /// Whether the instance is what the schema wants; `None` if that cannot be told with bounded effort.
    fn judge(&self, instance: &Json<'_>) -> Option<bool> {
        let effort = Effort::new(STEPS + STEPS_PER_VALUE.saturating_mul(instance.values()));
        let is_valid = self.validator.is_valid(Watched { value: &instance.tree, effort: Some(&effort) });
        (!effort.is_spent()).then_some(is_valid)
    }

    /// What is wrong with the instance: at most [`MAX_VIOLATIONS`], none if it is valid.
    pub(crate) fn complaints(&self, instance: &Json<'_>) -> Vec<Complaint> {
        match self.judge(instance) {
            Some(true) => Vec::new(),
            Some(false) => self.reasons(&instance.tree),
            None => vec![general("takes more effort to check than is allowed")],
        }
    }

    fn reasons(&self, instance: &Tree<'_>) -> Vec<Complaint> {
        let effort = Effort::new(STEPS_OF_TELLING);
        let mut complaints = Vec::new();
        for error in self.validator.iter_errors(Watched { value: instance, effort: Some(&effort) }) {
            // What is said once no more may be looked at is said of what was not looked at.
            if complaints.len() >= MAX_VIOLATIONS || effort.is_spent() {
                break;
            }
            wording::tell(&error, |pointer, keyword, message| {
                complaints.push(Complaint { pointer, keyword, message });
            });
        }
        complaints.truncate(MAX_VIOLATIONS);
        if complaints.is_empty() {
            return vec![general("does not fit its schema, and is too involved to say where")];
        }
        complaints
    }
}

fn general(message: &str) -> Complaint {
    Complaint { pointer: String::new(), keyword: "schema", message: message.to_owned() }
}

fn native(draft: Draft) -> jsonschema::Draft {
    match draft {
        Draft::Draft4 => jsonschema::Draft::Draft4,
        Draft::Draft7 => jsonschema::Draft::Draft7,
        Draft::Draft202012 => jsonschema::Draft::Draft202012,
    }
}

fn meta_schema(
    schema: &Value,
    draft: Option<Draft>,
) -> Result<MetaValidator<'static>, ValidationError<'static>> {
    match draft {
        None => jsonschema::meta::validator_for(schema),
        Some(Draft::Draft4) => Ok(jsonschema::draft4::meta::validator()),
        Some(Draft::Draft7) => Ok(jsonschema::draft7::meta::validator()),
        Some(Draft::Draft202012) => Ok(jsonschema::draft202012::meta::validator()),
    }
}

/// What is said of a schema that is of no draft that is known.
fn unknown_draft(schema: &Value, error: &ValidationError<'_>) -> Mistake {
    match schema.get("$schema").and_then(Value::as_str) {
        Some(draft) => Mistake {
            pointer: "/$schema".to_owned(),
            message: format!(
                "{} is no draft that is known here: there are 2020-12, 2019-09, draft-07, draft-06 and draft-04",
                wording::cut(draft)
            ),
        },
        None => mistake(error, schema),
    }
}

/// A mistake that compiling found. The library does not say where a reference stands that leads nowhere.
fn mistake(error: &ValidationError<'_>, schema: &Value) -> Mistake {
    let mut found = None;
    wording::tell(error, |pointer, _, message| found = found.take().or(Some(Mistake { pointer, message })));
    let mut mistake = found.unwrap_or_default();
    if mistake.pointer.is_empty()
        && let Some(pointer) = wording::target(error).and_then(|target| place_of_reference(schema, &target))
    {
        mistake.pointer = pointer;
    }
    mistake
}

/// Where the first reference stands that ends with this target.
fn place_of_reference(schema: &Value, target: &str) -> Option<String> {
    let target = target.strip_prefix(NOWHERE).unwrap_or(target);
    let mut open = vec![(String::new(), schema)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::Object(members) => {
                let reference = members.get("$ref").and_then(Value::as_str);
                if reference.is_some_and(|reference| {
                    let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
                    fragment == target
                        || (!file.is_empty() && target.ends_with(file.trim_start_matches("./")))
                }) {
                    return Some(pointer + "/$ref");
                }
                open.extend(
                    members.iter().map(|(name, value)| (crate::pointer::join(&pointer, name), value)),
                );
            }
            Value::Array(items) => {
                open.extend(items.iter().enumerate().map(|(at, value)| (format!("{pointer}/{at}"), value)));
            }
            _ => {}
        }
    }
    None
}
