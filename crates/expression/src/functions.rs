//! The functions of CEL: their names and types for the check, and what they do.
//!
//! Those whose last argument must be a literal (`matches`, `ip_in`) and the macros are not here. It must not know
//! how arguments come about. Entry points: [`overloads`], [`apply`].

use crate::convert;
use crate::cost::{Meter, weight};
use crate::evaluate::Reason;
use crate::schema::Type;
use crate::time::{Nanos, civil};
use crate::value::Value;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Int,
    Uint,
    Double,
    String,
    Bool,
    Bytes,
    Timestamp,
    Duration,
    Dyn,
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// Types without what they contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Any,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List,
    Map,
}

impl Class {
    pub(crate) fn takes(self, is: &Type) -> bool {
        self == Self::Any || *is == Type::Dyn || Self::of(is) == Some(self)
    }

    fn of(is: &Type) -> Option<Self> {
        Some(match is {
            Type::Dyn | Type::Null => return None,
            Type::Bool => Self::Bool,
            Type::Int => Self::Int,
            Type::Uint => Self::Uint,
            Type::Double => Self::Double,
            Type::String => Self::String,
            Type::Bytes => Self::Bytes,
            Type::Timestamp => Self::Timestamp,
            Type::Duration => Self::Duration,
            Type::List(_) => Self::List,
            Type::Map(..) => Self::Map,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::List => "list",
            Self::Map => "map",
        }
    }
}

/// One way to call functions.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) function: Function,
    pub(crate) name: &'static str,
    /// It is called on its first argument: `a.name()`.
    pub(crate) member: bool,
    /// What each argument may be; any one of these.
    pub(crate) parameters: &'static [&'static [Class]],
    pub(crate) result: Type,
}

const fn global(
    function: Function,
    name: &'static str,
    takes: &'static [&'static [Class]],
    result: Type,
) -> Overload {
    Overload { function, name, member: false, parameters: takes, result }
}

const fn member(
    function: Function,
    name: &'static str,
    takes: &'static [&'static [Class]],
    result: Type,
) -> Overload {
    Overload { function, name, member: true, parameters: takes, result }
}

const SIZED: &[&[Class]] = &[&[Class::String, Class::Bytes, Class::List, Class::Map]];
const TEXT: &[&[Class]] = &[&[Class::String]];
const TEXTS: &[&[Class]] = &[&[Class::String], &[Class::String]];
const INSTANT: &[&[Class]] = &[&[Class::Timestamp]];
const INSTANT_OR_LENGTH: &[&[Class]] = &[&[Class::Timestamp, Class::Duration]];
const INT: &[&[Class]] =
    &[&[Class::Int, Class::Uint, Class::Double, Class::String, Class::Timestamp, Class::Duration]];
const NUMERIC: &[&[Class]] = &[&[Class::Int, Class::Uint, Class::Double, Class::String]];
const PRINTED: &[&[Class]] = &[&[
    Class::String,
    Class::Int,
    Class::Uint,
    Class::Double,
    Class::Bool,
    Class::Bytes,
    Class::Timestamp,
    Class::Duration,
]];

static OVERLOADS: &[Overload] = &[
    global(Function::Size, "size", SIZED, Type::Int),
    member(Function::Size, "size", SIZED, Type::Int),
    member(Function::Contains, "contains", TEXTS, Type::Bool),
    member(Function::StartsWith, "startsWith", TEXTS, Type::Bool),
    member(Function::EndsWith, "endsWith", TEXTS, Type::Bool),
    member(Function::LowerAscii, "lowerAscii", TEXT, Type::String),
    member(Function::UpperAscii, "upperAscii", TEXT, Type::String),
    global(Function::Int, "int", INT, Type::Int),
    global(Function::Uint, "uint", NUMERIC, Type::Uint),
    global(Function::Double, "double", NUMERIC, Type::Double),
    global(Function::String, "string", PRINTED, Type::String),
    global(Function::Bool, "bool", &[&[Class::Bool, Class::String]], Type::Bool),
    global(Function::Bytes, "bytes", &[&[Class::Bytes, Class::String]], Type::Bytes),
    global(
        Function::Timestamp,
        "timestamp",
        &[&[Class::String, Class::Int, Class::Timestamp]],
        Type::Timestamp,
    ),
    global(Function::Duration, "duration", &[&[Class::String, Class::Duration]], Type::Duration),
    global(Function::Dyn, "dyn", &[&[Class::Any]], Type::Dyn),
    member(Function::FullYear, "getFullYear", INSTANT, Type::Int),
    member(Function::Month, "getMonth", INSTANT, Type::Int),
    member(Function::Date, "getDate", INSTANT, Type::Int),
    member(Function::DayOfMonth, "getDayOfMonth", INSTANT, Type::Int),
    member(Function::DayOfWeek, "getDayOfWeek", INSTANT, Type::Int),
    member(Function::DayOfYear, "getDayOfYear", INSTANT, Type::Int),
    member(Function::Hours, "getHours", INSTANT_OR_LENGTH, Type::Int),
    member(Function::Minutes, "getMinutes", INSTANT_OR_LENGTH, Type::Int),
    member(Function::Seconds, "getSeconds", INSTANT_OR_LENGTH, Type::Int),
    member(Function::Milliseconds, "getMilliseconds", INSTANT_OR_LENGTH, Type::Int),
];

/// All functions.
pub(crate) fn overloads() -> &'static [Overload] {
    OVERLOADS
}

/// Calls a function with as many arguments as it has parameters.
pub(crate) fn apply<'a>(
    function: Function,
    arguments: &[Value<'a>],
    meter: &mut Meter,
) -> Result<Value<'a>, Reason> {
    let (Some(first), second) = (arguments.first(), arguments.get(1)) else { return Err(Reason::WrongType) };
    match function {
        Function::Size => size(first, meter),
        Function::Contains | Function::StartsWith | Function::EndsWith => {
            let (Value::Text(text), Some(Value::Text(part))) = (first, second) else {
                return Err(Reason::WrongType);
            };
            meter.spend(weight(text.len() + part.len()))?;
            Ok(Value::Bool(match function {
                Function::Contains => text.contains(&**part),
                Function::StartsWith => text.starts_with(&**part),
                _ => text.ends_with(&**part),
            }))
        }
        Function::LowerAscii | Function::UpperAscii => {
            let Value::Text(text) = first else { return Err(Reason::WrongType) };
            meter.spend(weight(text.len()))?;
            let lower = function == Function::LowerAscii;
            let same = !text
                .bytes()
                .any(|byte| if lower { byte.is_ascii_uppercase() } else { byte.is_ascii_lowercase() });
            Ok(match (same, lower) {
                (true, _) => first.clone(),
                (_, true) => text.to_ascii_lowercase().into(),
                _ => text.to_ascii_uppercase().into(),
            })
        }
        Function::Int => convert::int(first),
        Function::Uint => convert::uint(first),
        Function::Double => convert::double(first),
        Function::String => convert::string(first, meter),
        Function::Bool => convert::bool(first),
        Function::Bytes => convert::bytes(first, meter),
        Function::Timestamp => convert::timestamp(first),
        Function::Duration => convert::duration(first),
        Function::Dyn => Ok(first.clone()),
        _ => match first {
            Value::Timestamp(at) => part_of_date(function, *at),
            Value::Duration(length) => part_of_length(function, *length),
            _ => Err(Reason::WrongType),
        },
    }
}

/// Strings are counted in code points.
fn size<'a>(of: &Value<'a>, meter: &mut Meter) -> Result<Value<'a>, Reason> {
    let size = match of {
        Value::Text(text) => {
            meter.spend(weight(text.len()))?;
            text.chars().count()
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return Err(Reason::WrongType),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| Reason::OutOfRange)
}

/// Months, days of the year and `getDayOfMonth` begin with 0, `getDate` with 1, as in CEL.
fn part_of_date<'a>(function: Function, at: Nanos) -> Result<Value<'a>, Reason> {
    let date = civil(at);
    Ok(Value::Int(match function {
        Function::FullYear => date.year,
        Function::Month => date.month - 1,
        Function::Date => date.day,
        Function::DayOfMonth => date.day - 1,
        Function::DayOfWeek => date.weekday,
        Function::DayOfYear => date.day_of_year,
        Function::Hours => date.hours,
        Function::Minutes => date.minutes,
        Function::Seconds => date.seconds,
        Function::Milliseconds => i64::from(at.nanos() / 1_000_000),
        _ => return Err(Reason::WrongType),
    }))
}

/// The whole length in hours, minutes or seconds, but only the milliseconds after the seconds, as in CEL.
fn part_of_length<'a>(function: Function, length: Nanos) -> Result<Value<'a>, Reason> {
    let milliseconds = length.total() / 1_000_000;
    let part = match function {
        Function::Hours => milliseconds / 3_600_000,
        Function::Minutes => milliseconds / 60_000,
        Function::Seconds => milliseconds / 1000,
        Function::Milliseconds => milliseconds % 1000,
        _ => return Err(Reason::WrongType),
    };
    i64::try_from(part).map(Value::Int).map_err(|_| Reason::OutOfRange)
}
