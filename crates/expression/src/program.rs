//! A condition that was checked and is ready to be evaluated.
//!
//! It must not know what depends on its answer. Entry points: [`Program::compile`], [`Program::evaluate`].

use crate::check::{Checked, Checker};
use crate::code::Code;
use crate::evaluate::{Failure, Reason, Run, Variables};
use crate::mistake::{Mistake, Span};
use crate::parser::parse;
use crate::schema::{Schema, Type};
use crate::value::Value;

/// The longest source, in bytes.
pub const MAX_SOURCE: usize = 4096;

/// A checked condition. It may be shared between threads.
#[derive(Debug)]
pub struct Program {
    code: Code,
    /// The paths of the variables it names.
    used: Vec<String>,
    /// The most steps that one evaluation may take.
    steps: u32,
}

impl Program {
    /// Checks a source against what is declared; its value must be of the wanted type.
    ///
    /// # Errors
    ///
    /// Every mistake that can be told apart, in the order of their places. Of those in the grammar only the first
    /// is certain, so that there is but one of them.
    pub fn compile(source: &str, schema: &Schema, want: &Type) -> Result<Self, Vec<Mistake>> {
        if source.len() > MAX_SOURCE {
            let message =
                format!("the condition has {} bytes, at most {MAX_SOURCE} are allowed", source.len());
            return Err(vec![
                Mistake::new(Span::default(), message).with_help("split it into several conditions"),
            ]);
        }
        let root = parse(source)?;
        let Checked { code, used } = Checker::new(schema).check_whole(&root, want)?;
        Ok(Self { code, used, steps: schema.limits.steps })
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    ///
    /// When it has no value, for instance because a key is missing that it did not ask for with `has` or `in`. Then
    /// it neither holds nor does not hold, and the caller must take the side that is safe.
    pub fn evaluate(&self, variables: &dyn Variables) -> Result<bool, Failure> {
        match self.value(variables)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failure::new(Reason::WrongType, self.code.at)),
        }
    }

    /// The value, which is of the type that was wanted if that could be known before; a value out of JSON may be of
    /// any type.
    ///
    /// # Errors
    ///
    /// As [`Program::evaluate`].
    pub fn value<'a>(&'a self, variables: &'a dyn Variables) -> Result<Value<'a>, Failure> {
        Run::new(variables, self.steps).evaluate(&self.code)
    }

    /// Whether it names a variable with this path or below it: `identity` as well as `identity.claims`.
    #[must_use]
    pub fn uses(&self, path: &str) -> bool {
        self.used
            .iter()
            .any(|used| used.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }
}
