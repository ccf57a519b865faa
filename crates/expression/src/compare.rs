//! Equality, order and arithmetic of values (language definition, sections "Equality", "Ordering" and "Arithmetic").
//!
//! Values of different types are unequal, which is no error; to order them or to calculate with them is one. It must
//! not know where values come from. Entry points: [`equal`], [`order`], [`calculate`], [`negate`].

use std::cmp::Ordering;

use crate::cost::{Meter, scan, weight};
use crate::evaluate::Reason;
use crate::numbers::{self, Number};
use crate::operators::Operator;
use crate::time::Nanos;
use crate::value::{Elements, List, Map, Pairs, Text, Value};

/// Deeper values, which are none that one writes, are not compared.
const MAX_DEPTH: u8 = 64;

fn number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Int(number) => Some(Number::Int(*number)),
        Value::Uint(number) => Some(Number::Uint(*number)),
        Value::Double(number) => Some(Number::Double(*number)),
        _ => None,
    }
}

/// Whether two values are equal: numbers by their value, lists and maps by what they contain.
pub(crate) fn equal(one: &Value<'_>, other: &Value<'_>, meter: &mut Meter) -> Result<bool, Reason> {
    same(one, other, meter, 0)
}

fn same(one: &Value<'_>, other: &Value<'_>, meter: &mut Meter, depth: u8) -> Result<bool, Reason> {
    if depth > MAX_DEPTH {
        return Err(Reason::TooManySteps);
    }
    Ok(match (one, other) {
        (Value::Text(one), Value::Text(other)) => {
            meter.spend(weight(one.len().min(other.len())))?;
            **one == **other
        }
        (Value::Bytes(one), Value::Bytes(other)) => {
            meter.spend(weight(one.len().min(other.len())))?;
            **one == **other
        }
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Timestamp(one), Value::Timestamp(other)) | (Value::Duration(one), Value::Duration(other)) => {
            one == other
        }
        (Value::List(one), Value::List(other)) => same_lists(one, other, meter, depth + 1)?,
        (Value::Map(one), Value::Map(other)) => same_maps(one, other, meter, depth + 1)?,
        _ => match (number(one), number(other)) {
            (Some(one), Some(other)) => numbers::compare(one, other) == Some(Ordering::Equal),
            _ => false,
        },
    })
}

fn same_lists(one: &List<'_>, other: &List<'_>, meter: &mut Meter, depth: u8) -> Result<bool, Reason> {
    if one.len() != other.len() {
        return Ok(false);
    }
    for index in 0..one.len() {
        meter.spend(1)?;
        let (Some(one), Some(other)) = (one.at(index), other.at(index)) else { return Ok(false) };
        if !same(&one, &other, meter, depth)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_maps(one: &Map<'_>, other: &Map<'_>, meter: &mut Meter, depth: u8) -> Result<bool, Reason> {
    if one.len() != other.len() {
        return Ok(false);
    }
    for key in one.keys() {
        meter.spend(1)?;
        let (Some(one), Some(other)) = (value_of(one, &key, meter)?, value_of(other, &key, meter)?) else {
            return Ok(false);
        };
        if !same(&one, &other, meter, depth)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The value of a key, which is no list and no map.
pub(crate) fn value_of<'a>(
    map: &Map<'a>,
    key: &Value<'_>,
    meter: &mut Meter,
) -> Result<Option<Value<'a>>, Reason> {
    match (&map.0, key) {
        (Pairs::Theirs(map), Value::Text(key)) => {
            meter.spend(scan(map.scanned()))?;
            Ok(map.find(key))
        }
        (Pairs::Json(map), Value::Text(key)) => Ok(map.get(&**key).map(Value::json)),
        (Pairs::Theirs(_) | Pairs::Json(_), _) => Ok(None),
        (Pairs::Made(entries), _) => {
            for [found, value] in entries.iter() {
                meter.spend(1)?;
                if same(found, key, meter, MAX_DEPTH)? {
                    return Ok(Some(value.clone()));
                }
            }
            Ok(None)
        }
    }
}

/// The order of two values: numbers by their value, strings by code points, `false` before `true`.
pub(crate) fn order(one: &Value<'_>, other: &Value<'_>, meter: &mut Meter) -> Result<Ordering, Reason> {
    match (one, other) {
        // The order of UTF-8 is that of the code points.
        (Value::Text(one), Value::Text(other)) => {
            meter.spend(weight(one.len().min(other.len())))?;
            Ok((**one).cmp(&**other))
        }
        (Value::Bytes(one), Value::Bytes(other)) => {
            meter.spend(weight(one.len().min(other.len())))?;
            Ok((**one).cmp(&**other))
        }
        (Value::Bool(one), Value::Bool(other)) => Ok(one.cmp(other)),
        (Value::Timestamp(one), Value::Timestamp(other)) | (Value::Duration(one), Value::Duration(other)) => {
            Ok(one.cmp(other))
        }
        _ => match (number(one), number(other)) {
            (Some(one), Some(other)) => numbers::compare(one, other).ok_or(Reason::NotOrdered),
            _ => Err(Reason::WrongType),
        },
    }
}

/// `-value`, of an `int` or a `double`.
pub(crate) fn negate<'a>(value: &Value<'a>) -> Result<Value<'a>, Reason> {
    match value {
        Value::Int(number) => number.checked_neg().map(Value::Int).ok_or(Reason::OutOfRange),
        Value::Double(number) => Ok(Value::Double(-number)),
        _ => Err(Reason::WrongType),
    }
}

/// `+`, `-`, `*`, `/` and `%`. Numbers do not convert: `1 + 1.0` has no value.
pub(crate) fn calculate<'a>(
    operator: Operator,
    one: &Value<'a>,
    other: &Value<'a>,
    meter: &mut Meter,
) -> Result<Value<'a>, Reason> {
    let add = operator == Operator::Add;
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => {
            numbers::calculate_int(operator, *one, *other).map(Value::Int)
        }
        (Value::Uint(one), Value::Uint(other)) => {
            numbers::calculate_uint(operator, *one, *other).map(Value::Uint)
        }
        (Value::Double(one), Value::Double(other)) => {
            numbers::calculate_double(operator, *one, *other).map(Value::Double)
        }
        (Value::Text(one), Value::Text(other)) if add => {
            meter.spend(weight(one.len() + other.len()))?;
            Ok([&**one, &**other].concat().into())
        }
        (Value::Bytes(one), Value::Bytes(other)) if add => {
            meter.spend(weight(one.len() + other.len()))?;
            Ok(Value::Bytes(Text::Made([&**one, &**other].concat().into())))
        }
        (Value::List(one), Value::List(other)) if add => {
            meter.spend((one.len() + other.len()) as u64)?;
            let elements = |list: &List<'a>| (0..list.len()).filter_map(|at| list.at(at)).collect::<Vec<_>>();
            Ok(Value::List(List(Elements::Made([elements(one), elements(other)].concat().into()))))
        }
        (Value::Timestamp(at), Value::Duration(length)) => instant(operator, *at, *length),
        (Value::Duration(length), Value::Timestamp(at)) if add => instant(operator, *at, *length),
        (Value::Timestamp(one), Value::Timestamp(other)) if operator == Operator::Subtract => {
            length(operator, *one, *other)
        }
        (Value::Duration(one), Value::Duration(other)) => length(operator, *one, *other),
        _ => Err(Reason::WrongType),
    }
}

fn plus_or_minus(operator: Operator, one: Nanos, other: Nanos) -> Result<i128, Reason> {
    match operator {
        Operator::Add => Ok(one.total() + other.total()),
        Operator::Subtract => Ok(one.total() - other.total()),
        _ => Err(Reason::WrongType),
    }
}

fn instant<'a>(operator: Operator, at: Nanos, length: Nanos) -> Result<Value<'a>, Reason> {
    let total = plus_or_minus(operator, at, length)?;
    Nanos::timestamp_from(total).map(Value::Timestamp).ok_or(Reason::OutOfRange)
}

fn length<'a>(operator: Operator, one: Nanos, other: Nanos) -> Result<Value<'a>, Reason> {
    let total = plus_or_minus(operator, one, other)?;
    Nanos::duration_from(total).map(Value::Duration).ok_or(Reason::OutOfRange)
}
