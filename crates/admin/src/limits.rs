//! `/limits`: the limits in use, and how they stand for somebody; `POST /limits/reset`; and `/usage` of quotas.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use control::{StoreView, View};
use policy::{Link, Policy, concurrency, quota, rate_limit};
use serde_json::{Value, json};
use snapshot::Snapshot;
use store::{OwnAsk, Status};

/// The most lines of a page.
const PAGE: usize = 1000;

/// What is asked: the values of `key` for somebody, `at` if only limits of a place are meant, `after` for the next page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    values: Vec<String>,
    place: Option<String>,
    after: Option<String>,
}

impl Asked {
    /// From a query such as `key=mobile&at=plan%20gold`, for a page that has these parameters.
    ///
    /// # Errors
    /// In words: there is another one. To pass over it would be to show what was not asked for.
    pub(crate) fn parse(query: &str, known: &[&str]) -> Result<Asked, String> {
        let mut asked = Asked::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = String::from_utf8_lossy(&router::decoded_query(value.as_bytes())).into_owned();
            match name {
                _ if !known.contains(&name) => {
                    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                    let name: String = name.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
                    return Err(format!("There is no parameter `{name}` here, but {}.", known.join(", ")));
                }
                "key" => asked.values.push(value),
                "at" => asked.place = Some(value),
                _ => asked.after = Some(value),
            }
        }
        Ok(asked)
    }

    /// Whether it is said where limits have to stand, and there is none; then in words.
    pub(crate) fn names_no_place(&self, snapshot: &Snapshot) -> Option<String> {
        const MOST: usize = 20;
        let place = self.place.as_deref()?;
        let mut places = BTreeSet::new();
        each(snapshot, &Asked::default(), |_, limits| {
            places.insert(limits.place().to_owned());
        });
        if places.contains(place) {
            return None;
        }
        let some: Vec<String> = places.iter().take(MOST).map(|place| format!("`{place}`")).collect();
        let more = if places.len() > MOST { ", …" } else { "" };
        Some(match some.is_empty() {
            true => "There are no limits.".to_owned(),
            false => format!("No limit is at such a place. There are: {}{more}.", some.join(", ")),
        })
    }

    /// Whether it is about somebody.
    pub(crate) fn says_whose(&self) -> bool {
        !self.values.is_empty()
    }

    fn is_about(&self, place: &str) -> bool {
        self.place.as_deref().is_none_or(|asked| asked == place)
    }

    fn values(&self) -> Vec<&str> {
        self.values.iter().map(String::as_str).collect()
    }
}

/// All limits; for somebody, if `key` says for whom. Of those that gateways share, it says what their store says.
pub(crate) async fn page(view: &View, asked: &Asked) -> Value {
    let (mut all, shared) = known_here(view, asked);
    let store = view.store();
    for (at, ask) in shared {
        // One that does not answer is asked no further: the rest would only take its time too.
        let Ok(decision) = store.look(&ask).await else { break };
        if let (Some(one), Some(standing)) = (all.get_mut(at), decision.each.first()) {
            one["left"] = standing.left.into();
            // Of quotas it is said what is used up, and of limits when all is there again.
            if let Some(used) = one.get_mut("used") {
                *used = ask.limit.units().saturating_sub(standing.left).into();
            } else {
                one["full_after_s"] = standing.reset_after_us.div_ceil(1_000_000).into();
            }
            one["counted"] = "at the store".into();
        }
    }
    json!({ "limits": all, "store": store_state(&store) })
}

/// How the store that gateways share is; nothing if there is none.
fn store_state(store: &StoreView) -> Value {
    let Some((address, status)) = store.status() else { return Value::Null };
    let (state, error) = match status {
        Status::Connecting => ("connecting", None),
        Status::Up => ("up", None),
        Status::Down(why) => ("down", Some(why.to_string())),
    };
    json!({ "address": address, "state": state, "error": error })
}

/// All limits as this gateway knows them, and what the store is asked about some of them, by their positions.
fn known_here(view: &View, asked: &Asked) -> (Vec<Value>, Vec<(usize, OwnAsk)>) {
    let (values, now) = (asked.values(), Instant::now());
    let (mut all, mut shared) = (Vec::new(), Vec::new());
    each(&view.active().snapshot, asked, |policy, limits| match limits {
        Limits::Rate(limits) => {
            for limit in limits.views(&values, now) {
                shared.extend(limit.ask.map(|ask| (all.len(), ask)));
                all.push(json!({
                    "at": limits.place(),
                    "policy": policy,
                    "limit": limit.limit,
                    "burst": limit.burst,
                    "by": limit.by,
                    "mode": mode(limit.dry_run),
                    "shared": limit.shared,
                    "keys": limit.keys,
                    "left": limit.left.map(|(left, _)| left),
                    "full_after_s": limit.left.map(|(_, after)| after),
                    "counted": limit.left.map(|_| "here"),
                }));
            }
        }
        Limits::Quota(quota) => {
            for one in quota.views(&values, unix_now()) {
                shared.extend(one.ask.map(|ask| (all.len(), ask)));
                all.push(json!({
                    "at": quota.place(),
                    "policy": policy,
                    "quota": one.limit,
                    "time_zone": one.time_zone,
                    "by": one.by,
                    "mode": mode(one.dry_run),
                    "shared": one.shared,
                    "from": time(one.period.start),
                    "until": time(one.period.end),
                    "used": one.used.map(|(used, _)| used),
                    "left": one.used.map(|(_, left)| left),
                    "counted": one.used.map(|_| "here"),
                }));
            }
        }
        Limits::Concurrency(limits) => all.extend(limits.views(&values).into_iter().map(|limit| {
            json!({
                "at": limits.place(),
                "policy": policy,
                "at_once": limit.limit,
                "by": limit.by,
                "mode": mode(limit.dry_run),
                "keys": limit.keys,
                "under_way": limit.under_way,
            })
        })),
    });
    (all, shared)
}

fn mode(dry_run: bool) -> &'static str {
    if dry_run { "dry_run" } else { "enforce" }
}

/// Who has used what of quotas in the periods that run: those behind `after`, in the order of their keys.
pub(crate) fn usage(view: &View, asked: &Asked) -> Value {
    let active = view.active();
    let mut running = HashMap::new();
    // Of everybody: somebody may have used something of another plan before.
    let of_all = Asked { values: Vec::new(), ..asked.clone() };
    let sought: Vec<quota::Sought> = asked.values.iter().map(|value| quota::Sought::new(value)).collect();
    each(&active.snapshot, &of_all, |policy, limits| {
        if let Limits::Quota(quota) = limits {
            let own = quota.running(unix_now()).into_iter();
            running.extend(own.map(|one| (one.id, (policy, quota.place().to_owned(), one))));
        }
    });
    // The first ones by key, of all that there are: no more than a page is ever held.
    let mut first: BTreeMap<(String, String, String), Value> = BTreeMap::new();
    let mut is_cut = false;
    active.snapshot.providers.quotas().counters().each(|counter| {
        let Some((policy, at, own)) = running.get(&counter.quota()) else { return };
        let usage = counter.usage();
        if usage.used == 0
            || usage.period.start < own.period.start
            || asked.after.as_deref().is_some_and(|after| counter.key() <= after)
            || !sought.iter().all(|one| one.is_in(counter.key()))
        {
            return;
        }
        is_cut |= first.len() == PAGE;
        // There may be a million of them, and most are behind a page that is full.
        if is_cut && first.last_key_value().is_some_and(|((last, ..), _)| counter.key() > last.as_str()) {
            return;
        }
        let limit = own.allowance.to_string();
        let place = (counter.key().to_owned(), at.clone(), limit.clone());
        if is_cut {
            match first.last_entry() {
                Some(last) if place < *last.key() => _ = last.remove(),
                _ => return,
            }
        }
        let row = json!({
            "at": at,
            "policy": policy,
            "quota": limit,
            "key": counter.key(),
            "used": usage.used,
            "left": own.allowance.limit.saturating_sub(usage.used),
            "from": time(usage.period.start),
            "until": time(usage.period.end),
        });
        first.insert(place, row);
    });
    if !is_cut {
        return json!({ "usage": first.into_values().collect::<Vec<_>>() });
    }
    // All of a key, or nothing: the next page begins behind it.
    let last = first.keys().next_back().map(|(key, ..)| key.clone()).unwrap_or_default();
    if first.keys().next().is_some_and(|(key, ..)| *key != last) {
        first.retain(|(key, ..), _| *key != last);
    }
    let next = first.keys().next_back().map(|(key, ..)| key.clone());
    json!({ "usage": first.into_values().collect::<Vec<_>>(), "next": next })
}

/// Forgets what somebody has used, as somebody from this address has asked; or says in words why there is nothing to
/// forget. What was used of quotas is told once more, to whoever has asked and to the operator.
pub(crate) async fn reset(view: &View, asked: &Asked, by: IpAddr) -> Result<Value, Refused> {
    let values = asked.values();
    let (mut here, mut shared) = (0, Vec::new());
    let (mut forgotten, mut others) = (Vec::new(), Vec::new());
    each(&view.active().snapshot, asked, |_, limits| {
        others.extend(limits.of_more_than(&values));
        match limits {
            Limits::Rate(limits) => {
                here += limits.reset(&values);
                shared.extend(limits.forget_at_store(&values));
            }
            Limits::Quota(quota) => {
                let used = quota.views(&values, unix_now()).into_iter();
                let used =
                    used.filter_map(|one| Some((one.limit, one.used?.0))).filter(|(_, used)| *used > 0);
                forgotten.extend(used.map(|(limit, used)| (quota.place().to_owned(), limit, used)));
                here += quota.reset(&values, unix_now());
                shared.extend(quota.forget_at_store(&values, unix_now()));
            }
            // What is under way is over by itself.
            Limits::Concurrency(_) => {}
        }
    });
    others.dedup();
    let (store, wanted) = (view.store(), shared.len());
    let (mut there, mut trouble) = (0, None);
    for ask in &shared {
        match store.give_back(ask).await {
            Ok(_) => there += 1,
            Err(why) => {
                trouble = Some(why);
                break;
            }
        }
    }
    // What the store has forgotten may be the same that was known here.
    let count = here.max(there);
    if count == 0 && trouble.is_none() {
        let others: Vec<String> =
            others.iter().map(|(at, by)| format!("{at} by {}", by.join(", "))).collect();
        let others = match others.is_empty() {
            true => String::new(),
            false => format!(" Limits by several want a `key` for each of them: {}.", others.join("; ")),
        };
        let why = format!("Nobody with this key has used anything of a limit: /limits lists them.{others}");
        return Err(Refused::Unknown(why));
    }
    if let Some(keys) = view.keys().filter(|_| count > 0) {
        let used = forgotten.iter().map(|(at, limit, used)| format!("; {used} of {limit} of {at} were used"));
        let whose: Vec<_> = values.iter().map(|value| diagnostics::visible(value)).collect();
        let (whose, used) = (whose.join(", "), used.collect::<String>());
        keys.report(format!("{count} limits of {whose} were reset{used}, as {by} has asked"));
    }
    if let Some(why) = trouble {
        let done = format!("{here} were reset on this gateway, and {there} of {wanted} at the store");
        return Err(Refused::NotNow(format!("{done}: {why}")));
    }
    let forgotten =
        forgotten.iter().map(|(at, limit, used)| json!({ "at": at, "quota": limit, "used": used }));
    let others = others.iter().map(|(at, by)| json!({ "at": at, "by": by }));
    Ok(json!({
        "reset": count,
        "forgotten": forgotten.collect::<Vec<_>>(),
        "not_reset": others.collect::<Vec<_>>(),
    }))
}

/// Why something cannot be done, in words.
pub(crate) enum Refused {
    /// There is nothing of that kind.
    Unknown(String),
    /// Somebody else has to be asked, and does not answer.
    NotNow(String),
}

/// What limits somebody.
enum Limits<'s> {
    Rate(&'s rate_limit::Ready),
    Quota(&'s quota::Ready),
    Concurrency(&'s concurrency::Ready),
}

impl Limits<'_> {
    fn place(&self) -> &str {
        match self {
            Limits::Rate(limits) => limits.place(),
            Limits::Quota(quota) => quota.place(),
            Limits::Concurrency(limits) => limits.place(),
        }
    }

    /// Where it is and what it goes by, if that is a consumer together with more than the values that were asked for.
    fn of_more_than(&self, values: &[&str]) -> Vec<(String, Vec<String>)> {
        let all: Vec<Vec<String>> = match self {
            Limits::Rate(limits) => limits.views(&[], Instant::now()).into_iter().map(|one| one.by).collect(),
            Limits::Quota(quota) => quota.views(&[], unix_now()).into_iter().map(|one| one.by).collect(),
            Limits::Concurrency(_) => Vec::new(),
        };
        let is_more = |by: &Vec<String>| by.len() > values.len() && by.iter().any(|part| part == "consumer");
        all.into_iter().filter(is_more).map(|by| (self.place().to_owned(), by)).collect()
    }
}

/// Looks at each policy that is asked about once, however many routes have it.
fn each(snapshot: &Snapshot, asked: &Asked, mut look: impl FnMut(&'static str, Limits<'_>)) {
    let mut seen = HashSet::new();
    let mut look = |kind, limits: Limits<'_>| {
        if asked.is_about(limits.place()) {
            look(kind, limits);
        }
    };
    for Link { policy, .. } in snapshot.links() {
        let own = match &**policy {
            // All of this kind share the plans.
            Policy::Plan(plan) => Arc::as_ptr(plan.plans()).cast::<()>(),
            _ => Arc::as_ptr(policy).cast::<()>(),
        };
        let kind = policy.kind().name;
        match &**policy {
            Policy::RateLimit(limits) if seen.insert(own) => look(kind, Limits::Rate(limits)),
            Policy::Quota(quota) if seen.insert(own) => look(kind, Limits::Quota(quota)),
            Policy::Concurrency(limits) if seen.insert(own) => look(kind, Limits::Concurrency(limits)),
            Policy::Plan(plan) if seen.insert(own) => {
                // Nobody but a consumer has a plan, and of one who is asked for it is one.
                let consumers = &snapshot.consumers;
                let asked_for = asked.values.iter().filter_map(|value| consumers.find(value));
                let all: Vec<&policy::Allowed> = match asked.values.is_empty() {
                    true => plan.plans().allowed().collect(),
                    false => asked_for.flat_map(|consumer| plan.plans().allowed_to(consumer)).collect(),
                };
                for allowed in all {
                    allowed.rate_limit().into_iter().for_each(|limits| look(kind, Limits::Rate(limits)));
                    allowed.quota().into_iter().for_each(|quota| look(kind, Limits::Quota(quota)));
                    allowed.concurrency().into_iter().for_each(|one| look(kind, Limits::Concurrency(one)));
                }
            }
            _ => {}
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time in milliseconds since 1970, as RFC 3339 has it.
fn time(milliseconds: i64) -> String {
    /// What comes later cannot be written.
    const YEAR_9000: i64 = 221_845_392_000_000;
    let since = Duration::from_millis(u64::try_from(milliseconds.min(YEAR_9000)).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_in_the_query() {
        let known = &["key", "at"];
        let asked = Asked::parse("key=a%20b&at=plan+gold&key=c&", known);
        assert_eq!(
            asked,
            Ok(Asked {
                values: vec!["a b".into(), "c".into()],
                place: Some("plan gold".into()),
                after: None
            })
        );
        assert_eq!(Asked::parse("", known), Ok(Asked::default()));
        for unknown in ["ky=a", "key=a&limit=1", "after=a", "consumer=a", "%6bey=a"] {
            let said = Asked::parse(unknown, known).unwrap_err();
            assert!(said.contains("`key`, `at`"), "{unknown}: {said}");
        }
    }
}
