//! Evaluation: one walk over the tree, with errors as values and every step counted.
//!
//! `&&`, `||`, `all` and `exists` hold an error back until it is certain that nothing else decides (language
//! definition, section "Logical Operators"). It must not know types that the check has proven: data from outside may
//! be of any type, so that each operation looks for itself. Entry points: [`Variables`], [`Failure`].

use std::fmt;

use crate::code::{Code, Loop, Macro, Op};
use crate::compare;
use crate::cost::{Meter, scan};
use crate::functions;
use crate::mistake::Span;
use crate::operators::Operator;
use crate::value::{Elements, Keys, List, Map, Pairs, Value};

/// How deep macros may be nested.
pub(crate) const MAX_LOOPS: usize = 2;
/// The most parameters of a function.
const MAX_ARGUMENTS: usize = 4;

/// Where the values of variables come from.
///
/// A variable is asked for only when the evaluation comes to it, by the key with which it was declared in
/// [`crate::Schema`]. What is returned should borrow.
pub trait Variables {
    /// The value of a variable; none if there is none now, which `has` can tell.
    fn variable(&self, key: u16) -> Option<Value<'_>>;

    /// Calls a function that was declared; none if it has no value for these arguments.
    fn call<'a>(&'a self, key: u16, arguments: &[Value<'a>]) -> Option<Value<'a>> {
        let _ = (key, arguments);
        None
    }
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A map does not have this key, or a list not so many elements.
    NoSuchKey,
    /// The caller has no such variable now, or no value of a function.
    Absent,
    /// A value is not of a type that can be used here.
    WrongType,
    /// A result is too large for its type.
    OutOfRange,
    /// A division by zero.
    DivisionByZero,
    /// Text that is not what it is to be converted to, or no address.
    Unreadable,
    /// A NaN has no place in an order.
    NotOrdered,
    /// It took more steps than are allowed.
    TooManySteps,
}

/// Why an evaluation has no value, and which part of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub reason: Reason,
    /// The first byte of that part of the source.
    pub start: usize,
    /// The byte after it.
    pub end: usize,
}

impl Failure {
    pub(crate) fn new(reason: Reason, at: Span) -> Self {
        Self { reason, start: at.start as usize, end: at.end as usize }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchKey => "there is no such key or element",
            Self::Absent => "there is no such value now",
            Self::WrongType => "the value is of a type that cannot be used here",
            Self::OutOfRange => "the result is out of range",
            Self::DivisionByZero => "division by zero",
            Self::Unreadable => "the text cannot be converted",
            Self::NotOrdered => "NaN cannot be ordered",
            Self::TooManySteps => "it takes too many steps",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (bytes {} to {})", self.reason, self.start, self.end)
    }
}

impl std::error::Error for Failure {}

type Evaluated<'a> = Result<Value<'a>, Failure>;

/// One evaluation.
pub(crate) struct Run<'a> {
    variables: &'a dyn Variables,
    meter: Meter,
    locals: [Value<'a>; MAX_LOOPS],
}

impl<'a> Run<'a> {
    pub(crate) fn new(variables: &'a dyn Variables, steps: u32) -> Self {
        Self { variables, meter: Meter::new(steps), locals: [const { Value::Null }; MAX_LOOPS] }
    }

    pub(crate) fn evaluate(&mut self, code: &'a Code) -> Evaluated<'a> {
        let at = |reason| Failure::new(reason, code.at);
        self.meter.spend(1).map_err(at)?;
        match &code.op {
            Op::Constant(constant) => Ok(Value::constant(constant)),
            Op::Variable(key) => self.variables.variable(*key).ok_or(at(Reason::Absent)),
            Op::HasVariable(key) => Ok(Value::Bool(self.variables.variable(*key).is_some())),
            Op::Local(local) => self.locals.get(*local).cloned().ok_or(at(Reason::Absent)),
            Op::Field(of, field) => {
                let Value::Map(map) = self.evaluate(of)? else { return Err(at(Reason::WrongType)) };
                self.find(&map, &Value::from(&**field)).map_err(at)?.ok_or(at(Reason::NoSuchKey))
            }
            Op::HasField(of, field) => {
                let Value::Map(map) = self.evaluate(of)? else { return Err(at(Reason::WrongType)) };
                self.has(&map, &Value::from(&**field)).map(Value::Bool).map_err(at)
            }
            Op::Index(parts) => {
                let of = self.evaluate(&parts[0])?;
                let key = self.evaluate(&parts[1])?;
                self.index(&of, &key).map_err(at)
            }
            Op::Not(of) => self.condition(of).map(|value| Value::Bool(!value)),
            Op::Negate(of) => compare::negate(&self.evaluate(of)?).map_err(at),
            Op::And(parts) => self.join(parts, false),
            Op::Or(parts) => self.join(parts, true),
            Op::Choose(parts) => {
                let [condition, first, second] = &**parts;
                if self.condition(condition)? { self.evaluate(first) } else { self.evaluate(second) }
            }
            Op::Binary(operator, sides) => {
                let left = self.evaluate(&sides[0])?;
                let right = self.evaluate(&sides[1])?;
                self.binary(*operator, &left, &right).map_err(at)
            }
            Op::Matches(of, pattern) => {
                let Value::Text(text) = self.evaluate(of)? else { return Err(at(Reason::WrongType)) };
                self.meter.spend(pattern.cost(text.len())).map_err(at)?;
                Ok(Value::Bool(pattern.is_match(&text)))
            }
            Op::IpIn(of, networks) => {
                let Value::Text(text) = self.evaluate(of)? else { return Err(at(Reason::WrongType)) };
                self.meter.spend(networks.len() as u64).map_err(at)?;
                let address = text.parse().map_err(|_| at(Reason::Unreadable))?;
                Ok(Value::Bool(networks.iter().any(|network| network.contains(address))))
            }
            Op::List(_) | Op::Map(_) => self.make(code),
            Op::Call(..) | Op::Foreign(..) => self.call(code),
            Op::Loop(each) => self.walk(each),
        }
    }

    fn condition(&mut self, code: &'a Code) -> Result<bool, Failure> {
        match self.evaluate(code)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failure::new(Reason::WrongType, code.at)),
        }
    }

    /// `&&` (decided by `false`) and `||` (decided by `true`), in whichever part that is.
    fn join(&mut self, parts: &'a [Code], decides: bool) -> Evaluated<'a> {
        let mut failure = None;
        for part in parts {
            match self.condition(part) {
                Ok(value) if value == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(too_many) if too_many.reason == Reason::TooManySteps => return Err(too_many),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: &Value<'a>,
        right: &Value<'a>,
    ) -> Result<Value<'a>, Reason> {
        match operator {
            Operator::Equal => compare::equal(left, right, &mut self.meter).map(Value::Bool),
            Operator::NotEqual => compare::equal(left, right, &mut self.meter).map(|same| Value::Bool(!same)),
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
                let order = compare::order(left, right, &mut self.meter)?;
                Ok(Value::Bool(match operator {
                    Operator::Less => order.is_lt(),
                    Operator::LessEqual => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            Operator::In => self.contains(left, right).map(Value::Bool),
            _ => compare::calculate(operator, left, right, &mut self.meter),
        }
    }

    fn contains(&mut self, wanted: &Value<'a>, within: &Value<'a>) -> Result<bool, Reason> {
        match within {
            Value::List(list) => {
                for index in 0..list.len() {
                    self.meter.spend(1)?;
                    let element = list.at(index).ok_or(Reason::NoSuchKey)?;
                    if compare::equal(wanted, &element, &mut self.meter)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::Map(map) => self.has(map, wanted),
            _ => Err(Reason::WrongType),
        }
    }

    fn index(&mut self, of: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>, Reason> {
        match of {
            Value::Map(map) => self.find(map, key)?.ok_or(Reason::NoSuchKey),
            Value::List(list) => {
                let index = match key {
                    Value::Int(index) => usize::try_from(*index).ok(),
                    Value::Uint(index) => usize::try_from(*index).ok(),
                    // A `double` without a fraction is the same number.
                    Value::Double(index) if index.fract() == 0.0 && *index >= 0.0 => Some(*index as usize),
                    Value::Double(_) => None,
                    _ => return Err(Reason::WrongType),
                };
                index.and_then(|index| list.at(index)).ok_or(Reason::NoSuchKey)
            }
            _ => Err(Reason::WrongType),
        }
    }

    fn has(&mut self, map: &Map<'a>, key: &Value<'a>) -> Result<bool, Reason> {
        match (&map.0, key) {
            (Pairs::Theirs(map), Value::Text(key)) => {
                self.meter.spend(scan(map.scanned()))?;
                Ok(map.has(key))
            }
            _ => Ok(self.find(map, key)?.is_some()),
        }
    }

    fn find(&mut self, map: &Map<'a>, key: &Value<'a>) -> Result<Option<Value<'a>>, Reason> {
        compare::value_of(map, key, &mut self.meter)
    }

    /// A list or a map whose parts are not all constant.
    fn make(&mut self, code: &'a Code) -> Evaluated<'a> {
        if let Op::List(parts) = &code.op {
            let elements: Result<Vec<_>, _> = parts.iter().map(|part| self.evaluate(part)).collect();
            return Ok(Value::List(List(Elements::Made(elements?.into()))));
        }
        let Op::Map(parts) = &code.op else { return Err(Failure::new(Reason::WrongType, code.at)) };
        let mut entries: Vec<[Value<'a>; 2]> = Vec::with_capacity(parts.len());
        for [key_code, value] in parts {
            let at = |reason| Failure::new(reason, key_code.at);
            let key = self.evaluate(key_code)?;
            if !matches!(key, Value::Text(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_)) {
                return Err(at(Reason::WrongType));
            }
            for [before, _] in &entries {
                self.meter.spend(1).map_err(at)?;
                if compare::equal(before, &key, &mut self.meter).map_err(at)? {
                    // Two values for one key: neither of them counts.
                    return Err(at(Reason::NoSuchKey));
                }
            }
            entries.push([key, self.evaluate(value)?]);
        }
        Ok(Value::Map(Map(Pairs::Made(entries.into()))))
    }

    fn call(&mut self, code: &'a Code) -> Evaluated<'a> {
        let at = |reason| Failure::new(reason, code.at);
        let (Op::Call(_, parts) | Op::Foreign(.., parts)) = &code.op else {
            return Err(at(Reason::WrongType));
        };
        let mut values = [const { Value::Null }; MAX_ARGUMENTS];
        for (value, part) in values.iter_mut().zip(parts) {
            *value = self.evaluate(part)?;
        }
        let arguments = values.get(..parts.len()).ok_or(at(Reason::WrongType))?;
        match &code.op {
            Op::Call(function, _) => functions::apply(*function, arguments, &mut self.meter).map_err(at),
            Op::Foreign(key, price, _) => {
                self.meter.spend(u64::from(*price)).map_err(at)?;
                self.variables.call(*key, arguments).ok_or(at(Reason::Absent))
            }
            _ => Err(at(Reason::WrongType)),
        }
    }

    fn walk(&mut self, each: &'a Loop) -> Evaluated<'a> {
        let at = |reason| Failure::new(reason, each.range.at);
        let elements = match self.evaluate(&each.range)? {
            Value::List(list) => Each::List(list, 0),
            Value::Map(map) => Each::Keys(map.keys()),
            _ => return Err(at(Reason::WrongType)),
        };
        let (mut failure, mut holding, mut made) = (None, 0_u64, Vec::new());
        for element in elements {
            self.meter.spend(1).map_err(at)?;
            if let Some(local) = self.locals.get_mut(each.local) {
                *local = element.clone();
            }
            let holds = each.condition.as_ref().map_or(Ok(true), |condition| self.condition(condition));
            match (each.kind, holds) {
                (Macro::All, Ok(false)) => return Ok(Value::Bool(false)),
                (Macro::Exists, Ok(true)) => return Ok(Value::Bool(true)),
                (Macro::All | Macro::Exists, Err(error)) if error.reason != Reason::TooManySteps => {
                    failure = failure.or(Some(error));
                }
                (_, Err(error)) => return Err(error),
                (Macro::ExistsOne, Ok(true)) => holding += 1,
                (Macro::Filter, Ok(true)) => made.push(element),
                (Macro::Map, Ok(true)) => {
                    made.push(each.made.as_ref().map_or(Ok(Value::Null), |made| self.evaluate(made))?);
                }
                (_, Ok(_)) => {}
            }
        }
        match (each.kind, failure) {
            (_, Some(failure)) => Err(failure),
            (Macro::All, _) => Ok(Value::Bool(true)),
            (Macro::Exists, _) => Ok(Value::Bool(false)),
            (Macro::ExistsOne, _) => Ok(Value::Bool(holding == 1)),
            (Macro::Filter | Macro::Map, _) => Ok(Value::List(List(Elements::Made(made.into())))),
        }
    }
}

/// What a macro walks over.
enum Each<'a> {
    List(List<'a>, usize),
    Keys(Keys<'a>),
}

impl<'a> Iterator for Each<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        match self {
            Self::List(list, at) => {
                *at += 1;
                list.at(*at - 1)
            }
            Self::Keys(keys) => keys.next(),
        }
    }
}
