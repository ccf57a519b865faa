//! The check of macros: `has`, and those with a variable.
//!
//! It must not know functions. Entry points: [`Checker::has`], [`Checker::walk`].

use super::{Checker, Found, Heaviest, Local, Typed};
use crate::code::{Code, Loop, Macro, Op};
use crate::evaluate::MAX_LOOPS;
use crate::mistake::{Mistake, Span};
use crate::parser::{Call, Node, Tree};
use crate::schema::Type;

/// The names of macros with a variable.
pub(super) const MACROS: &[(&str, Macro)] = &[
    ("all", Macro::All),
    ("exists", Macro::Exists),
    ("exists_one", Macro::ExistsOne),
    ("existsOne", Macro::ExistsOne),
    ("filter", Macro::Filter),
    ("map", Macro::Map),
];

impl Checker<'_> {
    /// `has(a.b)`: whether there is such a field.
    pub(super) fn has(&mut self, span: Span, call: &Call) -> Typed {
        let [argument] = call.arguments.as_slice() else {
            let message = format!("`has` takes one field, not {} arguments", call.arguments.len());
            self.mistake(Mistake::new(span, message).with_help("write `has(a.b)`"));
            return self.nothing(span);
        };
        let Tree::Select { of, field, field_span } = &argument.tree else {
            let mistake = Mistake::new(argument.span, "`has` takes a field, such as `a.b`");
            self.mistake(match &argument.tree {
                Tree::Index { .. } => mistake.with_help("for a key write `\"key\" in map`"),
                _ => mistake,
            });
            return self.nothing(span);
        };
        match self.find(of) {
            Found::Group(path) => match self.below(&path, field, *field_span, argument.span) {
                Found::Value(Typed { code: Code { op: Op::Variable(key), .. }, .. }) => {
                    self.typed(Op::HasVariable(key), span, Type::Bool, 0)
                }
                Found::Value(mistaken) => mistaken,
                Found::Group(path) => self.bare_group(&path, argument.span),
            },
            Found::Value(of) => {
                self.entry(&of, field, *field_span);
                let cost = of.cost.saturating_add(of.search());
                self.typed(Op::HasField(Box::new(of.code), field.as_str().into()), span, Type::Bool, cost)
            }
        }
    }

    /// `range.kind(name, condition)`, or `range.map(name, value)` and `range.map(name, condition, value)`.
    pub(super) fn walk(&mut self, span: Span, kind: Macro, range: &Node, call: &Call) -> Typed {
        let who = format!("`{}`", call.name);
        let (name, condition, made) = match (kind, call.arguments.as_slice()) {
            (Macro::Map, [name, made]) => (name, None, Some(made)),
            (Macro::Map, [name, condition, made]) => (name, Some(condition), Some(made)),
            (Macro::Map, other) => return self.wrong_macro(span, &who, other.len(), "(x, value)"),
            (_, [name, condition]) => (name, Some(condition), None),
            (_, other) => return self.wrong_macro(span, &who, other.len(), "(x, condition)"),
        };
        let (range_node, range) = (range, self.check(range));
        let of = match &range.is {
            Type::Dyn => Type::Dyn,
            Type::List(of) | Type::Map(of, _) => (**of).clone(),
            other => {
                let message = format!("{who} goes through a list or a map, but this is {other}");
                self.mistake(Mistake::new(range_node.span, message));
                Type::Dyn
            }
        };
        let Tree::Name(name) = &name.tree else {
            self.mistake(Mistake::new(
                name.span,
                format!("the first argument of {who} is a name for the element"),
            ));
            return self.nothing(span);
        };
        if self.locals.len() >= MAX_LOOPS {
            self.mistake(
                Mistake::new(call.name_span, format!("macros are nested at most {MAX_LOOPS} deep"))
                    .with_help("each of them multiplies the work by the number of elements"),
            );
            return self.nothing(span);
        }
        let (local, times) = (self.locals.len(), range.size.elements);
        self.locals.push(Local { name: name.clone(), is: of.clone(), size: range.size.share(times) });
        let condition = condition.map(|condition| self.bool(&who, condition));
        let made = made.map(|made| self.check(made));
        self.locals.pop();
        let is = match (kind, &made) {
            (Macro::Filter, _) => Type::list(of),
            (_, Some(made)) => Type::list(made.is.clone()),
            _ => Type::Bool,
        };
        let parts = [condition.as_ref(), made.as_ref()];
        let each = parts.into_iter().flatten().fold(1_u64, |sum, part| sum.saturating_add(part.cost));
        let all = times.saturating_mul(each);
        if self.heaviest.as_ref().is_none_or(|heaviest| heaviest.cost < all) {
            self.heaviest = Some(Heaviest { span, cost: all, times, each });
        }
        let cost = range.cost.saturating_add(all);
        let size = made.as_ref().map_or(range.size, |made| made.size.times(times));
        let (condition, made) = (condition.map(|part| part.code), made.map(|part| part.code));
        let op = Op::Loop(Box::new(Loop { kind, range: range.code, local, condition, made }));
        Self::sized(op, span, is, cost, size)
    }

    fn wrong_macro(&mut self, span: Span, who: &str, found: usize, form: &str) -> Typed {
        let name = who.trim_matches('`');
        self.mistake(
            Mistake::new(span, format!("{who} takes a name and what to do with it, not {found} arguments"))
                .with_help(format!("write `list.{name}{form}`")),
        );
        self.nothing(span)
    }
}
