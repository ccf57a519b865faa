//! What a condition may speak of: variables with their types, functions of the caller, and limits.
//!
//! It must not know where values come from. Entry points: [`Schema::new`], [`Schema::variable`],
//! [`Schema::function`].

use std::fmt;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when it is evaluated: a value from JSON.
    Dyn,
    /// The type of `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A signed integer of 64 bits.
    Int,
    /// An unsigned integer of 64 bits.
    Uint,
    /// A floating-point number of 64 bits.
    Double,
    /// Text; its size is counted in code points.
    String,
    /// Bytes.
    Bytes,
    /// An instant, with nanoseconds.
    Timestamp,
    /// A length of time, with nanoseconds.
    Duration,
    /// A list of values of one type.
    List(Box<Type>),
    /// A map, by the types of its keys and of its values.
    Map(Box<Type>, Box<Type>),
}

impl Type {
    /// A list of values of this type.
    #[must_use]
    pub fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// A map from strings to values of this type.
    #[must_use]
    pub fn map(of: Self) -> Self {
        Self::Map(Box::new(Self::String), Box::new(of))
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether a value of one type may be equal to a value of the other.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(one), Self::List(two)) => one.agrees_with(two),
            (Self::Map(key, one), Self::Map(other_key, two)) => {
                key.agrees_with(other_key) && one.agrees_with(two)
            }
            _ => self == other || (self.is_number() && other.is_number()),
        }
    }

    /// Whether a value of this type may be used where another one is wanted; numbers do not convert.
    pub(crate) fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(one), Self::List(two)) => one.fits(two),
            (Self::Map(key, one), Self::Map(other_key, two)) => key.fits(other_key) && one.fits(two),
            _ => self == wanted,
        }
    }

    /// The type of a value that is one or the other.
    pub(crate) fn joined(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Dyn }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(key, of) => write!(f, "map({key}, {of})"),
        }
    }
}

/// How much a condition may cost. Steps are counted before it is accepted, for the worst case, and again while it
/// runs, because a value can be larger than what was assumed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest string, in bytes, that the worst case assumes, or all strings in a list or map together.
    pub text: u32,
    /// The largest list or map, in elements, that the worst case assumes, with what is nested in it.
    pub elements: u32,
    /// The most steps, of which each takes some ten nanoseconds.
    pub steps: u32,
}

impl Default for Limits {
    /// Strings of 8 KiB, as long as a header may be; 64 elements, so that a macro in a macro is affordable;
    /// 100,000 steps, which take some milliseconds at worst.
    fn default() -> Self {
        Self { text: 8192, elements: 64, steps: 100_000 }
    }
}

/// What is declared.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub(crate) variables: Vec<Variable>,
    pub(crate) functions: Vec<Declared>,
    pub(crate) limits: Limits,
}

/// A value that the caller has.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    /// Names with dots between them.
    pub(crate) path: String,
    pub(crate) is: Type,
    pub(crate) key: u16,
    /// The keys of this map have no upper-case letters.
    pub(crate) lower_case: bool,
}

/// A function that the caller has.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Type>,
    pub(crate) result: Type,
    pub(crate) key: u16,
    pub(crate) steps: u32,
}

/// What a path leads to.
pub(crate) enum Place<'s> {
    Variable(&'s Variable),
    /// Variables whose paths begin with it.
    Group,
    Nothing,
}

impl Schema {
    /// Declares nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Declares a variable: a path such as `request.method`, its type, and the key by which
    /// [`crate::Variables::variable`] is asked for it. Of two with the same path the first one counts.
    #[must_use]
    pub fn variable(mut self, path: &str, is: Type, key: u16) -> Self {
        self.variables.push(Variable { path: path.to_owned(), is, key, lower_case: false });
        self
    }

    /// Declares a map whose keys are in lower case, such as headers. A literal key with an upper-case letter, which
    /// could never be found, is a mistake.
    #[must_use]
    pub fn lower_case_map(mut self, path: &str, of: Type, key: u16) -> Self {
        self.variables.push(Variable { path: path.to_owned(), is: Type::map(of), key, lower_case: true });
        self
    }

    /// Declares a function with at most four parameters, the key by which [`crate::Variables::call`] is asked for
    /// it, and what a call costs in steps.
    #[must_use]
    pub fn function(mut self, name: &str, parameters: &[Type], result: Type, key: u16, steps: u32) -> Self {
        let (name, parameters) = (name.to_owned(), parameters.iter().take(4).cloned().collect());
        self.functions.push(Declared { name, parameters, result, key, steps });
        self
    }

    pub(crate) fn place(&self, path: &str) -> Place<'_> {
        if let Some(variable) = self.variables.iter().find(|variable| variable.path == path) {
            return Place::Variable(variable);
        }
        let below = |variable: &&Variable| below(&variable.path, path).is_some();
        self.variables.iter().find(below).map_or(Place::Nothing, |_| Place::Group)
    }

    /// The names that may follow a path, or that may stand first if it is empty; each once.
    pub(crate) fn names_below(&self, path: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for variable in &self.variables {
            let rest =
                if path.is_empty() { Some(variable.path.as_str()) } else { below(&variable.path, path) };
            let name = rest.and_then(|rest| rest.split('.').next());
            names.extend(name.filter(|name| !names.contains(name)));
        }
        names
    }
}

/// The part of a path after another one and its dot.
fn below<'p>(path: &'p str, begin: &str) -> Option<&'p str> {
    path.strip_prefix(begin)?.strip_prefix('.')
}
