//! The script at the server: what it is told, and how its answers are read.
//!
//! It must not know connections. Entry points: [`Script::by_digest`], [`Script::in_full`], [`read`].

use redis::{Cmd, Value};

use crate::Trouble;
use crate::ask::{Ask, Decision};

const TEXT: &str = include_str!("script.lua");

/// What is to be done with limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Charge all, or none if one of them refuses.
    Decide,
    /// Charge all in any case, each at most up to its limit.
    Charge,
    /// Take back what was charged.
    GiveBack,
    /// Tell what `Decide` would say, and charge nothing.
    Look,
}

/// The script, and the name that the server gives it.
pub(crate) struct Script {
    digest: String,
}

impl Script {
    pub(crate) fn new() -> Script {
        Script { digest: redis::Script::new(TEXT).get_hash().to_owned() }
    }

    /// The command for a server that knows the script.
    pub(crate) fn by_digest(&self, deed: Deed, asks: &[Ask<'_>]) -> Cmd {
        command("EVALSHA", &self.digest, deed, asks)
    }

    /// The command for a server that does not, and then does.
    pub(crate) fn in_full(deed: Deed, asks: &[Ask<'_>]) -> Cmd {
        command("EVAL", TEXT, deed, asks)
    }
}

fn command(name: &str, script: &str, deed: Deed, asks: &[Ask<'_>]) -> Cmd {
    let mut command = Cmd::with_capacity(4 + 9 * asks.len(), 128 + script.len() + 180 * asks.len());
    command.arg(name).arg(script).arg(asks.len());
    let mut key = String::with_capacity(128);
    for ask in asks {
        ask.write_key(&mut key);
        command.arg(key.as_str());
    }
    command.arg(match deed {
        Deed::Decide => "d",
        Deed::Charge => "c",
        Deed::GiveBack => "g",
        Deed::Look => "l",
    });
    for ask in asks {
        let (kind, numbers) = ask.arguments();
        command.arg(kind);
        for number in numbers {
            command.arg(number);
        }
    }
    command
}

/// Reads an answer of the script.
pub(crate) fn read(value: &Value, asks: &[Ask<'_>]) -> Result<Decision, Trouble> {
    let number = |value: &Value| match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let Value::Array(values) = value else { return Err(Trouble::Answer) };
    let [time, allowed, rest @ ..] = &values[..] else { return Err(Trouble::Answer) };
    if rest.len() != 4 * asks.len() {
        return Err(Trouble::Answer);
    }
    let mut decision = Decision {
        allowed: number(allowed) == Some(1),
        each: Default::default(),
        unix_us: number(time).ok_or(Trouble::Answer)?,
    };
    for (ask, four) in asks.iter().zip(rest.chunks_exact(4)) {
        let mut numbers = [0; 4];
        for (to, value) in numbers.iter_mut().zip(four) {
            *to = number(value).ok_or(Trouble::Answer)?;
        }
        decision.each.push(ask.standing(numbers));
    }
    Ok(decision)
}
