//! How canaries stand, in a file: JSON, written as a whole or not at all.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use balance::rollout::{Counts, Saved, Stand};
use serde_json::{Value, json};

use crate::Report;

/// The most that is read, in bytes.
const MOST: u64 = 16 << 20;

/// What a canary is known by in the file.
pub(super) fn key(route: &str, stable: &str, new: &str) -> String {
    format!("{route} {stable} {new}")
}

/// What is kept. What cannot be read is told, and begins anew.
pub(super) fn read(file: &Path, report: &Report) -> BTreeMap<String, Saved> {
    let text = match std::fs::metadata(file).and_then(|about| {
        if about.len() > MOST { Err(io::ErrorKind::FileTooLarge.into()) } else { std::fs::read(file) }
    }) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            report(format!("{} cannot be read, canaries begin anew: {error}", file.display()));
            return BTreeMap::new();
        }
    };
    let all = serde_json::from_slice::<Value>(&text).ok();
    let all = all.as_ref().and_then(|all| all.get("canaries")?.as_object());
    let Some(all) = all else {
        report(format!("{} is damaged, canaries begin anew", file.display()));
        return BTreeMap::new();
    };
    all.iter().filter_map(|(key, value)| Some((key.clone(), saved(value)?))).collect()
}

/// Writes all of them, by way of a file beside it.
pub(super) fn write(file: &Path, all: impl Iterator<Item = (String, Saved)>) -> io::Result<()> {
    let all: serde_json::Map<String, Value> = all.map(|(key, saved)| (key, shown(&saved))).collect();
    if all.is_empty() && !file.exists() {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, json!({ "canaries": all }).to_string())?;
    std::fs::rename(fresh, file)
}

fn shown(saved: &Saved) -> Value {
    let counts = |counts: &Counts| json!({ "requests": counts.requests, "failed": counts.failed, "latency": counts.latency });
    let (stand, why) = match &saved.stand {
        Stand::Stepping => ("stepping", None),
        Stand::Paused => ("paused", None),
        Stand::Promoted => ("promoted", None),
        Stand::RolledBack { why } => ("rolled_back", Some(why)),
    };
    json!({
        "plan": saved.plan,
        "steps": saved.steps,
        "stand": stand,
        "why": why,
        "step": saved.step,
        "lasted_ms": saved.lasted_ms,
        "stable": counts(&saved.stable),
        "canary": counts(&saved.canary),
    })
}

fn saved(value: &Value) -> Option<Saved> {
    let counts = |name: &str| {
        let counts = value.get(name)?;
        let latency = counts.get("latency")?.as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
        let number = |name: &str| counts.get(name)?.as_u64();
        Some(Counts { requests: number("requests")?, failed: number("failed")?, latency })
    };
    let steps = value.get("steps")?.as_array()?.iter();
    let why = value.get("why").and_then(Value::as_str).unwrap_or_default();
    Some(Saved {
        plan: value.get("plan")?.as_str()?.to_owned(),
        steps: steps.map(|step| u16::try_from(step.as_u64()?).ok()).collect::<Option<_>>()?,
        stand: match value.get("stand")?.as_str()? {
            "stepping" => Stand::Stepping,
            "paused" => Stand::Paused,
            "promoted" => Stand::Promoted,
            "rolled_back" => Stand::RolledBack { why: why.to_owned() },
            _ => return None,
        },
        step: usize::try_from(value.get("step")?.as_u64()?).ok()?,
        lasted_ms: value.get("lasted_ms")?.as_u64()?,
        stable: counts("stable")?,
        canary: counts("canary")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let counts = |requests| Counts { requests, failed: 1, latency: vec![1, 2, 3] };
        let stands =
            [Stand::Stepping, Stand::Paused, Stand::Promoted, Stand::RolledBack { why: "bad".into() }];
        for stand in stands {
            let one = Saved {
                plan: "p".into(),
                steps: vec![100, 10_000],
                stand,
                step: 1,
                lasted_ms: 5,
                stable: counts(7),
                canary: counts(8),
            };
            assert_eq!(saved(&shown(&one)), Some(one));
        }
        for damaged in [json!(null), json!({}), json!({ "plan": "p", "steps": [70_000] })] {
            assert_eq!(saved(&damaged), None, "{damaged}");
        }
    }
}
