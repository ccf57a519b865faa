//! The check: names, types and costs of a tree, and the code that is evaluated.
//!
//! A part with a mistake counts as `dyn` for what is around it, so that one mistake is reported once and those
//! after it are found, too. Sizes of values and costs are estimated on the way, for the worst case by
//! [`crate::Limits`]. It must not evaluate anything. Entry point: [`Checker::check_whole`].

mod calls;
mod loops;
mod operations;

use crate::code::{Code, Constant, Op};
use crate::cost::weight;
use crate::mistake::{Mistake, Span};
use crate::names::nearest;
use crate::parser::{Node, Tree};
use crate::schema::{Place, Schema, Type};

/// What the check found.
pub(crate) struct Checked {
    pub(crate) code: Code,
    /// The paths of all variables that are named.
    pub(crate) used: Vec<String>,
}

/// How large a value is at most, with everything in it. The elements of a list are taken to share its size evenly:
/// an estimate that let each of them be as large as all together would refuse what is harmless.
#[derive(Clone, Copy, Default)]
struct Size {
    elements: u64,
    /// Of strings and bytes.
    bytes: u64,
}

impl Size {
    fn and(self, other: Self) -> Self {
        let elements = self.elements.saturating_add(other.elements);
        Self { elements, bytes: self.bytes.saturating_add(other.bytes) }
    }

    fn or(self, other: Self) -> Self {
        Self { elements: self.elements.max(other.elements), bytes: self.bytes.max(other.bytes) }
    }

    /// Elements of this size in a list.
    fn times(self, times: u64) -> Self {
        let elements = self.elements.max(1).saturating_mul(times);
        Self { elements, bytes: self.bytes.saturating_mul(times) }
    }

    /// One of so many elements.
    fn share(self, of: u64) -> Self {
        Self { elements: self.elements.div_ceil(of.max(1)), bytes: self.bytes.div_ceil(of.max(1)) }
    }

    /// As much of it as a value of a type can have.
    fn within(self, is: &Type) -> Self {
        match is {
            Type::String | Type::Bytes => Self { elements: 0, ..self },
            Type::Dyn | Type::List(_) | Type::Map(..) => self,
            _ => Self::default(),
        }
    }

    /// The steps to go over all of it.
    fn weight(self) -> u64 {
        self.elements.saturating_add(weigh(self.bytes))
    }
}

/// The steps to go over so many bytes.
fn weigh(bytes: u64) -> u64 {
    weight(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// A part that was checked.
struct Typed {
    code: Code,
    is: Type,
    /// The most steps it takes.
    cost: u64,
    size: Size,
    /// A map whose keys are in lower case.
    lower_case: bool,
}

/// What a name or a selection leads to.
enum Found {
    Value(Typed),
    /// Variables whose paths begin with this one.
    Group(String),
}

/// The variable of a macro.
struct Local {
    name: String,
    is: Type,
    size: Size,
}

/// The macro that costs most.
struct Heaviest {
    span: Span,
    cost: u64,
    times: u64,
    each: u64,
}

pub(crate) struct Checker<'s> {
    schema: &'s Schema,
    mistakes: Vec<Mistake>,
    used: Vec<String>,
    locals: Vec<Local>,
    heaviest: Option<Heaviest>,
    /// How many patterns there are.
    patterns: usize,
}

impl<'s> Checker<'s> {
    pub(crate) fn new(schema: &'s Schema) -> Self {
        let (mistakes, used, locals) = (Vec::new(), Vec::new(), Vec::new());
        Self { schema, mistakes, used, locals, heaviest: None, patterns: 0 }
    }

    /// Checks a whole condition, whose value must be of a type.
    pub(crate) fn check_whole(mut self, root: &Node, want: &Type) -> Result<Checked, Vec<Mistake>> {
        let typed = self.check(root);
        if !typed.is.fits(want) {
            let message = format!("the value is of type {}, but {want} is needed", typed.is);
            let mistake = Mistake::new(root.span, message);
            self.mistakes.push(match (want, &typed.is) {
                (Type::Bool, Type::String) => mistake.with_help("compare it: `… == \"text\"`"),
                (Type::Bool, is) if is.is_number() => mistake.with_help("compare it: `… > 0`"),
                _ => mistake,
            });
        }
        let allowed = u64::from(self.schema.limits.steps);
        if self.mistakes.is_empty() && typed.cost > allowed {
            self.mistakes.push(self.too_expensive(root.span, typed.cost, allowed));
        }
        if self.mistakes.is_empty() {
            return Ok(Checked { code: typed.code, used: self.used });
        }
        self.mistakes.sort_by_key(|mistake| mistake.start);
        Err(self.mistakes)
    }

    fn too_expensive(&self, whole: Span, cost: u64, allowed: u64) -> Mistake {
        let message = format!("this may take {cost} steps, at most {allowed} are allowed");
        let limits = self.schema.limits;
        let assumed = format!(
            "the worst case assumes lists of {} elements and strings of {} bytes",
            limits.elements, limits.text
        );
        match &self.heaviest {
            Some(Heaviest { span, cost, times, each }) => Mistake::new(*span, message).with_help(format!(
                "this macro takes {cost} of them: up to {times} elements, {each} steps for each; {assumed}"
            )),
            None => Mistake::new(whole, message).with_help(assumed),
        }
    }

    fn mistake(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// A part of a type, as large as the worst case assumes.
    fn typed(&self, op: Op, at: Span, is: Type, cost: u64) -> Typed {
        let limits = self.schema.limits;
        let size = Size { elements: limits.elements.into(), bytes: limits.text.into() };
        Self::sized(op, at, is, cost, size)
    }

    /// A part of a type, of which it is known how large it is at most.
    fn sized(op: Op, at: Span, is: Type, cost: u64, size: Size) -> Typed {
        let size = size.within(&is);
        Typed { code: Code { op, at }, is, cost: cost.saturating_add(1), size, lower_case: false }
    }

    /// Stands in for a part with a mistake.
    fn nothing(&self, at: Span) -> Typed {
        self.typed(Op::Constant(Constant::Null), at, Type::Dyn, 0)
    }

    fn check(&mut self, node: &Node) -> Typed {
        match &node.tree {
            Tree::Literal(constant) => Self::literal(constant, node.span),
            Tree::Name(_) | Tree::Select { .. } => match self.find(node) {
                Found::Value(typed) => typed,
                Found::Group(path) => self.bare_group(&path, node.span),
            },
            Tree::Index { of, key } => self.index(node.span, of, key),
            Tree::Call(call) => self.call(node.span, call),
            Tree::List(elements) => self.list(node.span, elements),
            Tree::Map(entries) => self.map(node.span, entries),
            Tree::Not(of) => {
                let of = self.bool("`!`", of);
                let cost = of.cost;
                self.typed(Op::Not(Box::new(of.code)), node.span, Type::Bool, cost)
            }
            Tree::Negate(of) => self.negate(node.span, of),
            Tree::And(parts) => self.join("`&&`", node.span, parts, Op::And),
            Tree::Or(parts) => self.join("`||`", node.span, parts, Op::Or),
            Tree::Choose(parts) => self.choose(node.span, parts),
            Tree::Binary(operator, sides) => self.binary(node.span, *operator, &sides[0], &sides[1]),
        }
    }

    fn literal(constant: &Constant, at: Span) -> Typed {
        let (is, bytes) = match constant {
            Constant::Bool(_) => (Type::Bool, 0),
            Constant::Int(_) => (Type::Int, 0),
            Constant::Uint(_) => (Type::Uint, 0),
            Constant::Double(_) => (Type::Double, 0),
            Constant::Text(text) => (Type::String, text.len()),
            Constant::Bytes(bytes) => (Type::Bytes, bytes.len()),
            _ => (Type::Null, 0),
        };
        let size = Size { elements: 0, bytes: bytes as u64 };
        Self::sized(Op::Constant(constant.clone()), at, is, 0, size)
    }

    /// What a name or a selection leads to.
    fn find(&mut self, node: &Node) -> Found {
        match &node.tree {
            Tree::Name(name) => self.name(name, node.span),
            Tree::Select { of, field, field_span } => match self.find(of) {
                Found::Group(path) => self.below(&path, field, *field_span, node.span),
                Found::Value(of) => Found::Value(self.field(of, field, *field_span, node.span)),
            },
            _ => Found::Value(self.check(node)),
        }
    }

    fn name(&mut self, name: &str, span: Span) -> Found {
        if let Some(index) = self.locals.iter().rposition(|local| local.name == name) {
            let (is, size) = self
                .locals
                .get(index)
                .map_or((Type::Dyn, Size::default()), |local| (local.is.clone(), local.size));
            return Found::Value(Self::sized(Op::Local(index), span, is, 0, size));
        }
        self.below("", name, span, span)
    }

    /// A name below a path, which is empty for the first name.
    fn below(&mut self, path: &str, name: &str, name_span: Span, span: Span) -> Found {
        let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match self.schema.place(&full) {
            Place::Group => Found::Group(full),
            Place::Variable(variable) => {
                if !self.used.contains(&full) {
                    self.used.push(full);
                }
                let typed = self.typed(Op::Variable(variable.key), span, variable.is.clone(), 0);
                Found::Value(Typed { lower_case: variable.lower_case, ..typed })
            }
            Place::Nothing => {
                let mistake = self.unknown(path, name, name_span);
                self.mistake(mistake);
                Found::Value(self.nothing(span))
            }
        }
    }

    fn unknown(&self, path: &str, name: &str, span: Span) -> Mistake {
        let known = self.schema.names_below(path);
        let locals = self.locals.iter().map(|local| local.name.as_str());
        if !path.is_empty() {
            let mistake = Mistake::new(span, format!("`{path}` has no field `{name}`"));
            return match nearest(name, known.iter().copied()) {
                Some(meant) => mistake.with_help(format!("did you mean `{path}.{meant}`?")),
                None => mistake.with_help(format!("its fields are {}", listed(&known))),
            };
        }
        let mistake = Mistake::new(span, format!("there is no variable `{name}`"));
        let within =
            self.schema.variables.iter().find(|variable| variable.path.rsplit('.').next() == Some(name));
        if let Some(variable) = within {
            mistake.with_help(format!("did you mean `{}`?", variable.path))
        } else if let Some(meant) = nearest(name, known.iter().copied().chain(locals)) {
            mistake.with_help(format!("did you mean `{meant}`?"))
        } else {
            mistake
                .with_help(format!("text stands in quotes: \"{name}\"; the variables are {}", listed(&known)))
        }
    }

    fn bare_group(&mut self, path: &str, span: Span) -> Typed {
        let fields = listed(&self.schema.names_below(path));
        self.mistake(
            Mistake::new(span, format!("`{path}` is not a value but a group of variables"))
                .with_help(format!("name one of its fields: {fields}")),
        );
        self.nothing(span)
    }

    /// A field of a value: an entry of a map.
    fn field(&mut self, of: Typed, field: &str, field_span: Span, span: Span) -> Typed {
        let Some(is) = self.entry(&of, field, field_span) else { return self.nothing(span) };
        let (cost, size) = (of.cost.saturating_add(of.search()), of.size);
        Self::sized(Op::Field(Box::new(of.code), field.into()), span, is, cost, size)
    }

    /// The type of an entry with this name, if there can be one.
    fn entry(&mut self, of: &Typed, field: &str, field_span: Span) -> Option<Type> {
        self.check_case(of, field, field_span);
        match &of.is {
            Type::Dyn => Some(Type::Dyn),
            Type::Map(key, value) if Type::String.agrees_with(key) => Some((**value).clone()),
            is => {
                let mistake = Mistake::new(field_span, format!("{is} has no field `{field}`"));
                let is_function = crate::functions::overloads().iter().any(|overload| overload.name == field);
                self.mistake(if is_function {
                    mistake.with_help(format!("`{field}` is a function: write `{field}()`"))
                } else {
                    mistake
                });
                None
            }
        }
    }

    /// A key that can never be found.
    fn check_case(&mut self, of: &Typed, key: &str, span: Span) {
        if of.lower_case && key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.mistake(
                Mistake::new(span, format!("`{key}` is never found: the keys are in lower case"))
                    .with_help(format!("write \"{}\"", key.to_ascii_lowercase())),
            );
        }
    }
}

impl Typed {
    /// The steps to find a key: maps that were made in the condition are searched from their beginning.
    fn search(&self) -> u64 {
        if matches!(self.code.op, Op::Variable(_)) { 0 } else { self.size.elements }
    }
}

/// Names to choose from.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(", …");
    }
    text
}
