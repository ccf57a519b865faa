//! The check of operators, indices and literals of lists and maps.
//!
//! It must not know functions. Entry points: the methods that [`Checker::check`] calls.

use super::{Checker, Size, Typed, weigh};
use crate::code::{Constant, Op};
use crate::mistake::{Mistake, Span};
use crate::operators::Operator;
use crate::parser::{Node, Tree};
use crate::schema::Type;

impl Checker<'_> {
    /// A part that must be a `bool`.
    pub(super) fn bool(&mut self, who: &str, node: &Node) -> Typed {
        let typed = self.check(node);
        if !typed.is.fits(&Type::Bool) {
            let mistake = Mistake::new(node.span, format!("{who} takes bool, but this is {}", typed.is));
            self.mistake(match (&node.tree, &typed.is) {
                // `a == "x" || "y"`
                (Tree::Literal(_), _) => mistake.with_help("repeat the comparison, or write `… in [a, b]`"),
                (_, Type::String) => mistake.with_help("compare it: `… == \"text\"`"),
                _ => mistake,
            });
        }
        typed
    }

    pub(super) fn join(
        &mut self,
        who: &str,
        span: Span,
        parts: &[Node],
        make: impl FnOnce(Vec<crate::code::Code>) -> Op,
    ) -> Typed {
        let mut cost = 0_u64;
        let mut codes = Vec::with_capacity(parts.len());
        for part in parts {
            let typed = self.bool(who, part);
            cost = cost.saturating_add(typed.cost);
            codes.push(typed.code);
        }
        self.typed(make(codes), span, Type::Bool, cost)
    }

    pub(super) fn choose(&mut self, span: Span, parts: &[Node; 3]) -> Typed {
        let [condition, first, second] = parts;
        let condition = self.bool("the condition before `?`", condition);
        let (first, second) = (self.check(first), self.check(second));
        let cost = condition.cost.saturating_add(first.cost.max(second.cost));
        let size = first.size.or(second.size);
        let is = first.is.joined(&second.is);
        let op = Op::Choose(Box::new([condition.code, first.code, second.code]));
        Self::sized(op, span, is, cost, size)
    }

    pub(super) fn negate(&mut self, span: Span, of: &Node) -> Typed {
        let of = self.check(of);
        if !matches!(of.is, Type::Dyn | Type::Int | Type::Double) {
            self.mistake(Mistake::new(span, format!("`-` takes int or double, but this is {}", of.is)));
        }
        let (is, cost) = (of.is, of.cost);
        self.typed(Op::Negate(Box::new(of.code)), span, is, cost)
    }

    pub(super) fn index(&mut self, span: Span, of: &Node, key: &Node) -> Typed {
        let (of_node, of) = (of, self.check(of));
        let key_node = key;
        let key = self.check(key);
        if let Tree::Literal(Constant::Text(text)) = &key_node.tree {
            self.check_case(&of, text, key_node.span);
        }
        let (wanted, is) = match &of.is {
            Type::Map(wanted, is) => ((**wanted).clone(), (**is).clone()),
            Type::List(is) => (Type::Int, (**is).clone()),
            Type::Dyn => (Type::Dyn, Type::Dyn),
            other => {
                let message = format!("{other} has no elements: only lists and maps have");
                self.mistake(Mistake::new(of_node.span, message));
                return self.nothing(span);
            }
        };
        if !key.is.agrees_with(&wanted) {
            let message = format!("the key is {}, but {} is indexed by {wanted}", key.is, of.is);
            self.mistake(Mistake::new(key_node.span, message));
        }
        let cost = of.cost.saturating_add(key.cost).saturating_add(of.search());
        Self::sized(Op::Index(Box::new([of.code, key.code])), span, is, cost, of.size)
    }

    /// A list of nothing but literals becomes a literal itself, which costs nothing when it is evaluated.
    pub(super) fn list(&mut self, span: Span, elements: &[Node]) -> Typed {
        let (mut cost, mut of, mut size) = (0_u64, None::<Type>, Size::default());
        let mut codes = Vec::with_capacity(elements.len());
        for element in elements {
            let typed = self.check(element);
            cost = cost.saturating_add(typed.cost);
            size = size.and(typed.size.times(1));
            of = Some(of.map_or(typed.is.clone(), |of| of.joined(&typed.is)));
            codes.push(typed.code);
        }
        let is = Type::list(of.unwrap_or(Type::Dyn));
        let constants: Option<Vec<Constant>> = codes
            .iter()
            .map(|code| match &code.op {
                Op::Constant(constant) => Some(constant.clone()),
                _ => None,
            })
            .collect();
        match constants {
            Some(constants) => {
                let op = Op::Constant(Constant::List(constants.into()));
                Self::sized(op, span, is, 0, size)
            }
            None => Self::sized(Op::List(codes), span, is, cost, size),
        }
    }

    pub(super) fn map(&mut self, span: Span, entries: &[(Node, Node)]) -> Typed {
        let mut cost = (entries.len() as u64).saturating_mul(entries.len() as u64);
        let (mut types, mut size) = (None::<(Type, Type)>, Size::default());
        let mut codes = Vec::with_capacity(entries.len());
        for (key_node, value) in entries {
            let (key, value) = (self.check(key_node), self.check(value));
            if !matches!(key.is, Type::Dyn | Type::String | Type::Int | Type::Uint | Type::Bool) {
                let message =
                    format!("a key of a map is a string, int, uint or bool, but this is {}", key.is);
                self.mistake(Mistake::new(key_node.span, message));
            }
            cost = cost.saturating_add(key.cost).saturating_add(value.cost);
            size = size.and(key.size).and(value.size.times(1));
            types = Some(match types {
                None => (key.is, value.is),
                Some((keys, values)) => (keys.joined(&key.is), values.joined(&value.is)),
            });
            codes.push([key.code, value.code]);
        }
        let (key, value) = types.unwrap_or((Type::Dyn, Type::Dyn));
        let is = Type::Map(Box::new(key), Box::new(value));
        Self::sized(Op::Map(codes), span, is, cost, size)
    }

    pub(super) fn binary(&mut self, span: Span, operator: Operator, left: &Node, right: &Node) -> Typed {
        let (left_node, right_node) = (left, right);
        let (left, right) = (self.check(left), self.check(right));
        if operator == Operator::In
            && let Tree::Literal(Constant::Text(text)) = &left_node.tree
        {
            self.check_case(&right, text, left_node.span);
        }
        let is = match operator {
            Operator::Equal | Operator::NotEqual => {
                self.check_equality(span, operator, &left.is, &right.is);
                Type::Bool
            }
            Operator::In => {
                self.check_membership(left_node.span, &left.is, right_node.span, &right.is);
                Type::Bool
            }
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
                self.check_order(span, operator, &left.is, &right.is);
                Type::Bool
            }
            _ => self.check_arithmetic(span, operator, &left.is, &right.is),
        };
        let size = left.size.and(right.size);
        let cost = left.cost.saturating_add(right.cost).saturating_add(operation(operator, &left, &right));
        let op = Op::Binary(operator, Box::new([left.code, right.code]));
        Self::sized(op, span, is, cost, size)
    }

    fn check_equality(&mut self, span: Span, operator: Operator, left: &Type, right: &Type) {
        if left.agrees_with(right) {
            return;
        }
        let message = format!("`{}` compares {left} with {right}, which are never equal", operator.symbol());
        let mistake = Mistake::new(span, message);
        self.mistake(match (left, right) {
            (Type::Null, _) | (_, Type::Null) => mistake.with_help("`has(…)` asks whether there is a value"),
            (Type::String, other) | (other, Type::String) if other.is_number() => {
                mistake.with_help(format!("convert one of them: `{other}(…)` or `string(…)`"))
            }
            (Type::Timestamp, _) | (_, Type::Timestamp) => {
                mistake.with_help("an instant is written `timestamp(\"2030-01-01T00:00:00Z\")`")
            }
            _ => mistake,
        });
    }

    fn check_order(&mut self, span: Span, operator: Operator, left: &Type, right: &Type) {
        let ordered = |is: &Type| !matches!(is, Type::Null | Type::List(_) | Type::Map(..));
        if ordered(left) && ordered(right) && left.agrees_with(right) {
            return;
        }
        let mistake = Mistake::new(span, format!("`{}` cannot order {left} and {right}", operator.symbol()));
        self.mistake(match (left, right) {
            (Type::String, other) | (other, Type::String) if other.is_number() => {
                mistake.with_help(format!("convert the string: `{other}(…)`"))
            }
            (Type::Bool, other) | (other, Type::Bool) if other.is_number() => {
                mistake.with_help("for a range write `a < b && b < c`")
            }
            (Type::List(_) | Type::Map(..), other) | (other, Type::List(_) | Type::Map(..))
                if other.is_number() =>
            {
                mistake.with_help("`size(…)` is the number of elements")
            }
            (Type::Timestamp, _) | (_, Type::Timestamp) => {
                mistake.with_help("an instant is written `timestamp(\"2030-01-01T00:00:00Z\")`")
            }
            _ => mistake,
        });
    }

    fn check_membership(&mut self, left_span: Span, left: &Type, right_span: Span, right: &Type) {
        match right {
            Type::Dyn => {}
            Type::List(of) | Type::Map(of, _) => {
                if !left.agrees_with(of) {
                    let message = format!("{left} is never in {right}");
                    self.mistake(Mistake::new(left_span, message));
                }
            }
            other => {
                let mistake =
                    Mistake::new(right_span, format!("`in` looks into a list or a map, but this is {other}"));
                self.mistake(match other {
                    Type::String => {
                        mistake.with_help("for a part of a string write `text.contains(\"part\")`")
                    }
                    _ => mistake,
                });
            }
        }
    }

    fn check_arithmetic(&mut self, span: Span, operator: Operator, left: &Type, right: &Type) -> Type {
        use Operator::{Add, Remainder, Subtract};
        let result = match (left, right) {
            (Type::Int, Type::Int) => Some(Type::Int),
            (Type::Uint, Type::Uint) => Some(Type::Uint),
            (Type::Double, Type::Double) if operator != Remainder => Some(Type::Double),
            (Type::String, Type::String) if operator == Add => Some(Type::String),
            (Type::Bytes, Type::Bytes) if operator == Add => Some(Type::Bytes),
            (Type::List(one), Type::List(other)) if operator == Add => {
                Some(Type::list((**one).clone().joined(other)))
            }
            (Type::Timestamp, Type::Duration) if matches!(operator, Add | Subtract) => Some(Type::Timestamp),
            (Type::Duration, Type::Timestamp) if operator == Add => Some(Type::Timestamp),
            (Type::Duration, Type::Duration) if matches!(operator, Add | Subtract) => Some(Type::Duration),
            (Type::Timestamp, Type::Timestamp) if operator == Subtract => Some(Type::Duration),
            (Type::Dyn, other) | (other, Type::Dyn)
                if !matches!(other, Type::Bool | Type::Null | Type::Map(..)) =>
            {
                Some(Type::Dyn)
            }
            _ => None,
        };
        if let Some(is) = result {
            return is;
        }
        let symbol = operator.symbol();
        let mistake = Mistake::new(span, format!("there is no {left} `{symbol}` {right}"));
        self.mistake(match (left, right) {
            (one, other) if one.is_number() && other.is_number() && one != other => mistake
                .with_help(format!("numbers do not convert by themselves: write `{other}(…)` on the left")),
            (Type::String, other) | (other, Type::String) if operator == Add && *other != Type::String => {
                mistake.with_help("write `string(…)` to make text of it")
            }
            (Type::Timestamp | Type::Duration, _) => {
                mistake.with_help("a length of time is written `duration(\"1h30m\")`")
            }
            _ => mistake,
        });
        Type::Dyn
    }
}

/// The steps of an operator itself.
fn operation(operator: Operator, left: &Typed, right: &Typed) -> u64 {
    let (one, other) = (left.size, right.size);
    match operator {
        Operator::In => other.weight(),
        Operator::Add => one.and(other).weight(),
        Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => 0,
        _ => one.elements.min(other.elements).saturating_add(weigh(one.bytes.min(other.bytes))),
    }
}
