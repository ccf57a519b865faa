//! Policies of the gateway, of services and of routes: the nearest of each kind wins, whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Policies, PolicySetting};
use diagnostics::{Code, Diagnostic, Span};
use policy::{Chain, Compiling, KINDS, LEFT_OUT, Link, NOT_BUILT, Policy};

/// The policies that one section sets or switches off.
#[derive(Default)]
pub(crate) struct Layer {
    kinds: BTreeMap<String, Option<Link>>,
}

impl Layer {
    /// Compiles each policy of a section once, however many routes inherit it.
    pub(crate) fn compile(section: Option<&Policies>, cx: &mut Compiling<'_>) -> Layer {
        let mut kinds = BTreeMap::new();
        for (kind, setting) in section.into_iter().flat_map(|policies| policies.iter()) {
            if !KINDS.iter().any(|known| known.name == kind.value) {
                cx.diagnostics.push(unknown_kind(&kind.value, kind.span));
                continue;
            }
            let link = match setting {
                PolicySetting::Off => None,
                PolicySetting::On(node) => {
                    // What else is wrong with it is reported too.
                    if let Some((feature, what)) = LEFT_OUT.iter().find(|(name, _)| *name == kind.value) {
                        cx.diagnostics.push(left_out(feature, what, kind.span));
                    }
                    let Some(policy) = policy::compile(&kind.value, node, cx) else { continue };
                    Some(link(policy, kind.span))
                }
            };
            kinds.insert(kind.value.clone(), link);
        }
        Layer { kinds }
    }

    /// Adds a policy that holds by itself, unless it is switched off here; whether it holds now.
    pub(crate) fn add(&mut self, policy: Policy, source: Span) -> bool {
        let kind = policy.kind().name.to_owned();
        self.kinds.entry(kind).or_insert_with(|| Some(link(policy, source))).is_some()
    }

    /// The chain of a route: its own policies, those of the service, those of the gateway.
    pub(crate) fn chain(layers: &[&Layer]) -> Chain {
        let links = KINDS.iter().filter_map(|kind| {
            let nearest = layers.iter().find_map(|layer| layer.kinds.get(kind.name));
            nearest.cloned().flatten()
        });
        Chain::new(links.collect())
    }
}

fn link(policy: Policy, source: Span) -> Link {
    Link { policy: Arc::new(policy), source }
}

fn left_out(feature: &str, what: &str, span: Span) -> Diagnostic {
    Diagnostic::error(Code::NotBuilt, span, format!("this build of gateward leaves out the policy `{feature}` ({what})"))
        .help(format!(
            "use one that has it: `cargo build --release -p gateward --features {feature}`; nothing that it protects is served meanwhile"
        ))
}

fn unknown_kind(kind: &str, span: Span) -> Diagnostic {
    if let Some((_, what)) = NOT_BUILT.iter().find(|(name, _)| *name == kind) {
        return Diagnostic::error(
            Code::NotBuilt,
            span,
            format!(
                "the policy `{kind}` ({what}) is part of the language, but this version does not have it yet"
            ),
        )
        .help("remove it, or use a version that has it; nothing that it protects is served meanwhile");
    }
    let known: Vec<&str> = KINDS.iter().map(|known| known.name).collect();
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    if let Some(later) = diagnostics::closest(kind, NOT_BUILT.iter().map(|(name, _)| *name))
        && diagnostics::closest(kind, known.iter().copied()).is_none()
    {
        return Diagnostic::error(Code::UnknownPolicy, span, format!("there is no policy `{kind}`"))
            .help(format!("`{later}` is part of the language, but this version does not have it yet"));
    }
    Diagnostic::error(Code::UnknownPolicy, span, format!("there is no policy `{kind}`"))
        .help(format!("this version has {}", names.join(", ")))
        .did_you_mean(kind, known.iter().copied())
}
