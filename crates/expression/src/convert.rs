//! Conversions between types, which fail rather than lose what does not fit.
//!
//! It must not know where values come from. Entry points: one function per type.

use crate::cost::{Meter, weight};
use crate::evaluate::Reason;
use crate::time::{self, Nanos};
use crate::value::{Text, Value};

type Converted<'a> = Result<Value<'a>, Reason>;

/// Doubles are cut off towards zero. The borders are exact: the `double` nearest to the largest `int` is beyond it.
pub(crate) fn int<'a>(value: &Value<'a>) -> Converted<'a> {
    let number = match value {
        Value::Int(number) => Some(*number),
        Value::Uint(number) => i64::try_from(*number).ok(),
        Value::Double(number) => {
            let limit = 9_223_372_036_854_775_808.0;
            (*number > -limit && *number < limit).then_some(*number as i64)
        }
        Value::Text(text) => return text.parse().map(Value::Int).map_err(|_| Reason::Unreadable),
        Value::Timestamp(at) => Some(at.seconds()),
        Value::Duration(length) => i64::try_from(length.total() / 1_000_000_000).ok(),
        _ => return Err(Reason::WrongType),
    };
    number.map(Value::Int).ok_or(Reason::OutOfRange)
}

pub(crate) fn uint<'a>(value: &Value<'a>) -> Converted<'a> {
    let number = match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::Uint(number) => Some(*number),
        Value::Double(number) => {
            (*number >= 0.0 && *number < 18_446_744_073_709_551_616.0).then_some(*number as u64)
        }
        Value::Text(text) => return text.parse().map(Value::Uint).map_err(|_| Reason::Unreadable),
        _ => return Err(Reason::WrongType),
    };
    number.map(Value::Uint).ok_or(Reason::OutOfRange)
}

pub(crate) fn double<'a>(value: &Value<'a>) -> Converted<'a> {
    Ok(Value::Double(match value {
        Value::Int(number) => *number as f64,
        Value::Uint(number) => *number as f64,
        Value::Double(number) => *number,
        Value::Text(text) => text.parse().map_err(|_| Reason::Unreadable)?,
        _ => return Err(Reason::WrongType),
    }))
}

pub(crate) fn string<'a>(value: &Value<'a>, meter: &mut Meter) -> Converted<'a> {
    Ok(match value {
        Value::Text(_) => value.clone(),
        Value::Bool(value) => Value::from(if *value { "true" } else { "false" }),
        Value::Int(number) => number.to_string().into(),
        Value::Uint(number) => number.to_string().into(),
        // With an exponent where all digits would be hundreds of them.
        Value::Double(number) if number.is_finite() && number.abs() >= 1e21 => format!("{number:e}").into(),
        Value::Double(number) => number.to_string().into(),
        Value::Timestamp(at) => time::format_timestamp(*at).into(),
        Value::Duration(length) => time::format_duration(*length).into(),
        Value::Bytes(bytes) => {
            meter.spend(weight(bytes.len()))?;
            match bytes {
                Text::Borrowed(bytes) => Value::from(str::from_utf8(bytes).map_err(|_| Reason::Unreadable)?),
                Text::Made(bytes) => str::from_utf8(bytes).map_err(|_| Reason::Unreadable)?.to_owned().into(),
            }
        }
        _ => return Err(Reason::WrongType),
    })
}

pub(crate) fn bool<'a>(value: &Value<'a>) -> Converted<'a> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::Text(text) => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
            _ => Err(Reason::Unreadable),
        },
        _ => Err(Reason::WrongType),
    }
}

pub(crate) fn bytes<'a>(value: &Value<'a>, meter: &mut Meter) -> Converted<'a> {
    match value {
        Value::Bytes(_) => Ok(value.clone()),
        Value::Text(Text::Borrowed(text)) => Ok(Value::from(text.as_bytes())),
        Value::Text(Text::Made(text)) => {
            meter.spend(weight(text.len()))?;
            Ok(Value::Bytes(Text::Made(text.as_bytes().into())))
        }
        _ => Err(Reason::WrongType),
    }
}

/// From RFC 3339, or from seconds since the beginning of 1970, as in the claims of a token.
pub(crate) fn timestamp<'a>(value: &Value<'a>) -> Converted<'a> {
    match value {
        Value::Timestamp(_) => Ok(value.clone()),
        Value::Int(seconds) => Nanos::timestamp(*seconds, 0).map(Value::Timestamp).ok_or(Reason::OutOfRange),
        Value::Text(text) => time::parse_timestamp(text).map(Value::Timestamp).ok_or(Reason::Unreadable),
        _ => Err(Reason::WrongType),
    }
}

pub(crate) fn duration<'a>(value: &Value<'a>) -> Converted<'a> {
    match value {
        Value::Duration(_) => Ok(value.clone()),
        Value::Text(text) => time::parse_duration(text).map(Value::Duration).ok_or(Reason::Unreadable),
        _ => Err(Reason::WrongType),
    }
}
