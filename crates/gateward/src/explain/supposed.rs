//! What has to be said of a consumer that is supposed to be calling.
//!
//! It reads what the policies have said, and knows nothing of credentials. Entry points: [`note`], [`why`].

use dataplane::explain::{Decider, End, Explanation, Next, Said, Step, Way};

use super::report::{kind, list};

/// What follows from supposing it that nobody may expect.
pub(crate) fn note(name: &str, explanation: &Explanation<'_>) -> Option<String> {
    let Next::Ways(ways) = &explanation.next else { return None };
    let steps = || ways.iter().flat_map(authenticators);
    if steps().next().is_none() {
        return Some(format!("Nothing asks who is calling on this route, so --as {name} changes nothing."));
    }
    let admitted = ways.iter().filter(|way| why(name, way).is_none());
    let telling = admitted
        .flat_map(authenticators)
        .find(|step| step.said == Some(Said::Known) && step.link.policy.kind().tells_more);
    if let Some(step) = telling {
        let kind = kind(step);
        return Some(format!(
            "Groups, scopes and claims that {kind} may tell besides are not supposed: what is shown tells them (--bearer, -H)."
        ));
    }
    let anonymous = ways.iter().find(|way| matches!(way.end, End::Forward(_)) && has(way, Said::Missing));
    let nameless = anonymous.filter(|way| !has(way, Said::Known))?;
    let accepted = missing(nameless, "or");
    Some(format!(
        "{name} has no credential that this route accepts ({accepted}), and goes on without a name."
    ))
}

/// Why a consumer does not get in; `None` if that is not why the way ends.
pub(crate) fn why(name: &str, way: &Way<'_>) -> Option<String> {
    let End::Answer(answer) = &way.end else { return None };
    let Decider::Policy(at) = answer.by else { return None };
    way.steps.get(at).filter(|step| step.said == Some(Said::Missing))?;
    Some(if has(way, Said::Known) {
        format!("{name} has no credential for {}, which this route demands besides", missing(way, "and"))
    } else {
        format!("{name} has no credential that this route accepts ({})", missing(way, "or"))
    })
}

fn authenticators<'w, 's>(way: &'w Way<'s>) -> impl Iterator<Item = &'w Step<'s>> {
    way.steps.iter().filter(|step| step.link.policy.knows_callers())
}

fn has(way: &Way<'_>, said: Said) -> bool {
    authenticators(way).any(|step| step.said == Some(said))
}

/// `api_key or jwt`: those for which it has no credential.
fn missing(way: &Way<'_>, word: &str) -> String {
    let missing = authenticators(way).filter(|step| step.said == Some(Said::Missing));
    list(missing.map(|step| kind(step).to_owned()), word)
}
