//! What a route does with a request that goes to a service: to which one, and under which path.

use std::collections::BTreeSet;

use config::Route as Raw;
use diagnostics::{Code, Diagnostic, Diagnostics, Spanned, Words};
use snapshot::{Action, Mirror, ServiceIndex, Split, Target};

use crate::policies::Layer;
use crate::routes::Context;
use crate::services::{self, Services};
use crate::templates;

impl Context<'_> {
    pub(crate) fn forward(
        &self,
        raw: &Raw,
        used: &mut BTreeSet<String>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Action> {
        let wanted: Vec<(&Spanned<String>, u32)> = match (&raw.service, &raw.split) {
            (Some(service), _) => {
                // A canary begins with nothing, and what it gets is decided while the gateway runs.
                let canary = raw.canary.iter().map(|canary| (&canary.service, 0));
                std::iter::once((service, 1)).chain(canary).collect()
            }
            (None, Some(split)) => split.value.iter().map(|(name, weight)| (name, weight.get())).collect(),
            (None, None) => Vec::new(),
        };
        let targets: Vec<Option<Target>> = wanted
            .iter()
            .map(|(name, weight)| {
                let service = self.service(name, used, diagnostics)?;
                let layer = self.services.layer(service)?;
                let chain = Layer::chain(&[self.layer, layer, self.gateway]);
                Some(Target { service, weight: *weight, chain })
            })
            .collect();
        if let Some(by) = raw.split_by.as_ref().filter(|_| raw.split.is_none() && raw.canary.is_none()) {
            diagnostics.push(
                Diagnostic::error(Code::ConflictingKeys, by.span, "`split_by` says who stays with which service of a `split`, and this route has none")
                    .help("remove it; with one service, `balance: { hash: … }` or `sticky` of the service keep clients with an endpoint"),
            );
        }
        if raw.split_by.as_ref().is_some_and(|by| by.value == config::RequestKey::Consumer) {
            check_split_by_consumer(raw, &targets, diagnostics);
        }
        let mirror = match &raw.mirror {
            None => Some(None),
            Some(mirror) => self
                .service(&mirror.service, used, diagnostics)
                .map(|service| Some(Mirror { service, share: mirror.percent.0.hundredths().into() })),
        };
        let rewrite = match &raw.rewrite {
            None => Some(None),
            Some(text) => self.rewrite(text, diagnostics).map(Some),
        };
        let targets: Vec<Target> = targets.into_iter().collect::<Option<_>>()?;
        let Some(split) =
            Split::new(targets, raw.split_by.as_ref().map(|by| services::request_key(&by.value)))
        else {
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    raw.split.as_ref().map(|split| split.span),
                    "no service of this split has a share",
                )
                .help("give at least one a weight above 0: split: { stable: 95, canary: 5 }"),
            );
            return None;
        };
        Some(Action::Forward { split, rewrite: rewrite?, mirror: mirror? })
    }

    /// The service of a name, which is used by that.
    fn service(
        &self,
        name: &Spanned<String>,
        used: &mut BTreeSet<String>,
        diagnostics: &mut Diagnostics,
    ) -> Option<ServiceIndex> {
        used.insert(name.value.clone());
        let found = self.services.find(&name.value);
        let services = &self.config.services;
        let may_be_there = services.is_broken(&name.value)
            || (services.is_empty() && !services.has_broken() && !self.complete);
        if found.is_none() && !may_be_there {
            diagnostics.push(unknown_service(name, self.services));
        }
        found
    }

    fn rewrite(&self, text: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<snapshot::Template> {
        if !text.starts_with('/') || !templates::is_uri_text(text) || text.contains('#') {
            diagnostics.push(
                Diagnostic::error(Code::InvalidPath, text.span, format!("`{}` is not a path", text.value))
                    .help("a rewrite begins with `/`, may hold captures such as `{id}`, and may end with `?query`"),
            );
            return None;
        }
        templates::compile(text, self.pattern, diagnostics)
    }
}

/// Who is calling is known only when the policies have run, so they must not depend on where the request goes.
fn check_split_by_consumer(raw: &Raw, targets: &[Option<Target>], diagnostics: &mut Diagnostics) {
    let Some(by) = &raw.split_by else { return };
    let mut chains = targets.iter().flatten().map(|target| &target.chain);
    let Some(first) = chains.next() else { return };
    if !chains.all(|chain| chain.is_like(first)) {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                by.span,
                "the services of this route have policies of their own, and which ones hold cannot depend on who is calling",
            )
            .help("who is calling is known only after policies have run: set the policies on the route instead of on the services"),
        );
    } else if first.authenticators().is_empty() {
        diagnostics.push(
            Diagnostic::error(Code::NobodyKnown, by.span, "nothing says who is calling on this route")
                .help("add a policy that knows callers, such as `api_key` or `jwt`"),
        );
    }
}

fn unknown_service(name: &Spanned<String>, services: &Services) -> Diagnostic {
    let known: Vec<String> = services.names().take(10).map(|name| format!("`{name}`")).collect();
    let help = if known.is_empty() {
        Words::from("add it under `services`: NAME: { endpoints: [http://127.0.0.1:3000] }")
    } else {
        Words::fixed(format!("name one of {}, or add it under `services`", known.join(", ")))
    };
    Diagnostic::error(Code::UnknownService, name.span, format!("there is no service `{}`", name.value))
        .help(help)
        .did_you_mean(&name.value, services.names())
}
