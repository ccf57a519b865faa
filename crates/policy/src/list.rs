//! The list of policies. A new policy is a folder and one line in `policies!`.

use std::borrow::Cow;

use document::{Node, SectionInfo, Shape};
use message::{Reply, RequestHead};

use crate::authenticate::Refused;
use crate::compiling::{Compiling, fingerprint};
use crate::supposed::Recognises;
use crate::{Consumers, Flow, RequestCx, ResponseCx, Stage, Verdict};

macro_rules! policies {
    (
        who is calling { $($auth:ident: $authenticator:ident,)* }
        what is done { $($step:ident: $variant:ident,)* }
    ) => {
        /// A policy, ready to run.
        #[derive(Debug)]
        pub enum Policy {
            $(#[doc = concat!("See [`crate::", stringify!($auth), "`].")] $authenticator(crate::$auth::Ready),)*
            $(#[doc = concat!("See [`crate::", stringify!($step), "`].")] $variant(crate::$step::Ready),)*
        }

        /// Every kind of policy, in the order in which they run within a stage.
        pub const KINDS: &[Kind] = &[
            $(Kind {
                name: stringify!($step),
                stage: crate::$step::Ready::STAGE,
                can_refuse: crate::$step::Ready::CAN_REFUSE,
                knows_callers: false,
                tells_more: false,
                doc: include_str!(concat!(stringify!($step), "/doc.md")),
                section: crate::$step::Raw::info,
                shape: <crate::$step::Raw as document::Decode>::shape,
            },)*
            $(Kind {
                name: stringify!($auth),
                stage: Stage::Authenticate,
                can_refuse: true,
                knows_callers: true,
                tells_more: <crate::$auth::Ready as Recognises>::TELLS_MORE,
                doc: include_str!(concat!(stringify!($auth), "/doc.md")),
                section: crate::$auth::Raw::info,
                shape: <crate::$auth::Raw as document::Decode>::shape,
            },)*
        ];

        #[allow(non_camel_case_types, reason = "the names of the folders, used as positions in KINDS")]
        enum Position { $($step,)* $($auth,)* }

        /// The position of the kind with this name in [`KINDS`].
        #[inline]
        pub fn position(name: &str) -> Option<usize> {
            match name {
                $(stringify!($step) => Some(Position::$step as usize),)*
                $(stringify!($auth) => Some(Position::$auth as usize),)*
                _ => None,
            }
        }

        impl Policy {
            /// Its position in [`KINDS`].
            pub fn kind_index(&self) -> usize {
                match self {
                    $(Policy::$authenticator(_) => Position::$auth as usize,)*
                    $(Policy::$variant(_) => Position::$step as usize,)*
                }
            }

            #[inline]
            pub(crate) fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
                match self {
                    $(Policy::$variant(ready) => ready.on_request(cx),)*
                    // The gate asks these, and nobody else does.
                    $(Policy::$authenticator(_) => Flow::Fault(message::Fault::Internal),)*
                }
            }

            #[inline]
            pub(crate) fn on_response(&self, cx: &mut ResponseCx<'_>) {
                match self {
                    $(Policy::$variant(ready) => ready.on_response(cx),)*
                    $(Policy::$authenticator(_) => {})*
                }
            }

            /// Charges what the answer of the service says that the request has cost.
            pub(crate) fn settle(&self, cx: &mut ResponseCx<'_>) {
                match self {
                    Policy::RateLimit(limits) => limits.settle(cx),
                    Policy::Quota(quota) => quota.settle(cx),
                    _ => {}
                }
            }

            /// Who is calling, as far as this policy can tell.
            #[inline]
            pub(crate) fn authenticate(&self, cx: &mut RequestCx<'_>) -> Verdict {
                match self {
                    $(Policy::$authenticator(ready) => ready.authenticate(cx),)*
                    $(Policy::$variant(_) => Verdict::Fault(message::Fault::Internal),)*
                }
            }

            /// What could be shown, as `WWW-Authenticate` has it, with what is wrong with what was.
            pub(crate) fn challenge(&self, refused: Option<&Refused>) -> Option<Cow<'static, str>> {
                match self {
                    $(Policy::$authenticator(ready) => ready.challenge(refused),)*
                    $(Policy::$variant(_) => None,)*
                }
            }

            /// Where somebody who has shown nothing is sent to, if there is such a place.
            pub(crate) fn invite(&self, cx: &mut RequestCx<'_>) -> Option<Reply> {
                match self {
                    $(Policy::$authenticator(ready) => ready.invite(cx),)*
                    $(Policy::$variant(_) => None,)*
                }
            }

            /// What a consumer lacks to be recognised by this policy, as words behind `has`; `None` if it lacks nothing.
            /// With a request, what does not hold at its time or on its connection is lacking too.
            pub fn lacks(
                &self,
                consumer: u32,
                consumers: &Consumers,
                on: Option<&RequestCx<'_>>,
            ) -> Option<&'static str> {
                match self {
                    $(Policy::$authenticator(ready) => ready.lacks(consumer, consumers, on),)*
                    // Nobody shows these anything.
                    $(Policy::$variant(_) => Some("nothing that it looks at"),)*
                }
            }

            /// Names of fields, besides `x-consumer`, by which it tells services of callers.
            pub fn told_fields(&self) -> Vec<&[u8]> {
                match self {
                    $(Policy::$authenticator(ready) => ready.told_fields(),)*
                    Policy::ForwardAuth(ready) => ready.told_fields(),
                    Policy::Geo(ready) => ready.told_fields(),
                    _ => Vec::new(),
                }
            }

            /// Removes what was shown from a request that goes to a service. Where the service is to see it, it sees no
            /// more than what was verified: nothing unless this policy has recognised the caller by it.
            #[inline]
            pub(crate) fn hide(&self, head: &mut RequestHead, recognised: bool) {
                match self {
                    $(Policy::$authenticator(ready) => ready.hide(head, recognised),)*
                    $(Policy::$variant(_) => {})*
                }
            }
        }

        /// Decodes and prepares a policy of a kind. `None` where the kind is unknown or, with
        /// diagnostics, where it could not be built: a policy is never skipped.
        pub fn compile(kind: &str, node: &Node, cx: &mut Compiling<'_>) -> Option<Policy> {
            cx.fingerprint = fingerprint(kind, node, cx.consumers);
            match kind {
                $(stringify!($step) => {
                    let raw = <crate::$step::Raw as document::Decode>::decode(node, cx.diagnostics)?;
                    crate::$step::compile(&raw, cx).map(Policy::$variant)
                })*
                $(stringify!($auth) => {
                    let raw = <crate::$auth::Raw as document::Decode>::decode(node, cx.diagnostics)?;
                    crate::$auth::compile(&raw, cx).map(Policy::$authenticator)
                })*
                _ => None,
            }
        }
    };
}

policies! {
    who is calling {
        mtls: Mtls,
        api_key: ApiKey,
        jwt: Jwt,
        hmac: Hmac,
        basic: Basic,
        introspection: Introspection,
        oidc: Oidc,
        ldap: Ldap,
    }
    what is done {
        request_id: RequestId,
        ip: Ip,
        geo: Geo,
        bots: Bots,
        cors: Cors,
        csrf: Csrf,
        size_limit: SizeLimit,
        concurrency: Concurrency,
        rate_limit: RateLimit,
        plan_cost: PlanCost,
        plan: Plan,
        quota: Quota,
        auth: Auth,
        authorize: Authorize,
        forward_auth: ForwardAuth,
        json_threat: JsonThreat,
        validate: Validate,
        fault: Fault,
        headers: Headers,
        security_headers: SecurityHeaders,
    }
}

/// What is known of a kind of policy without an instance of it.
#[derive(Debug)]
pub struct Kind {
    /// The key in the configuration, and the name of the folder.
    pub name: &'static str,
    /// When it runs.
    pub stage: Stage,
    /// Whether it can keep a request from its service.
    pub can_refuse: bool,
    /// Whether it says who is calling.
    pub knows_callers: bool,
    /// Whether it says more of callers than the configuration does: groups, scopes, claims.
    pub tells_more: bool,
    /// Its page, Markdown.
    pub doc: &'static str,
    /// The keys that the user writes.
    pub section: fn() -> SectionInfo,
    /// What all of it may look like.
    pub shape: fn() -> Shape,
}

/// The shape of the settings of a kind; `None` for one that is not known.
pub fn shape(kind: &str) -> Option<Shape> {
    Some((KINDS.iter().find(|known| known.name == kind)?.shape)())
}

/// Kinds that the language has and this version does not, with what they are for.
pub const NOT_BUILT: &[(&str, &str)] =
    &[("cache", "answers from a cache"), ("compress", "compressed responses")];

/// Kinds that are described in any build and left out of this one, because few need what they need: the feature of cargo
/// that builds each of them, which has the same name, and what they are for.
#[cfg(not(feature = "ldap"))]
pub const LEFT_OUT: &[(&str, &str)] = &[("ldap", "passwords that a directory verifies")];
/// Kinds that are described in any build and left out of this one: none.
#[cfg(feature = "ldap")]
pub const LEFT_OUT: &[(&str, &str)] = &[];

impl Policy {
    /// What is known of its kind.
    pub fn kind(&self) -> &'static Kind {
        &KINDS[self.kind_index()]
    }

    /// When it runs.
    pub fn stage(&self) -> Stage {
        self.kind().stage
    }

    /// Whether it can keep a request from its service.
    pub fn can_refuse(&self) -> bool {
        self.kind().can_refuse
    }

    /// Whether what it does depends on who is calling.
    pub fn needs_identity(&self) -> bool {
        match self {
            Policy::Authorize(authorize) => authorize.needs_identity(),
            _ => false,
        }
    }

    /// Whether it counts what is used up in periods of the calendar.
    pub fn has_quota(&self) -> bool {
        match self {
            Policy::Quota(_) => true,
            Policy::Plan(plan) => plan.plans().allowed().any(|allowed| allowed.quota().is_some()),
            _ => false,
        }
    }

    /// Whether this gateway alone counts some of it, and no store that gateways share.
    pub fn keeps_quota_alone(&self) -> bool {
        let alone = |quota: &crate::quota::Ready| quota.is_kept_alone();
        match self {
            Policy::Quota(quota) => alone(quota),
            Policy::Plan(plan) => plan.plans().allowed().filter_map(crate::Allowed::quota).any(alone),
            _ => false,
        }
    }

    /// Whether it says who is calling.
    pub fn knows_callers(&self) -> bool {
        self.kind().knows_callers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_rules_hold_for_every_kind() {
        for (number, kind) in KINDS.iter().enumerate() {
            assert_eq!(position(kind.name), Some(number));
            let info = (kind.section)();
            assert!(!info.doc.is_empty(), "{}: the section has no doc comment", kind.name);
            for key in &info.keys {
                assert!(!key.doc.is_empty(), "{}.{}: no doc comment", kind.name, key.name);
            }
            assert!(kind.doc.starts_with(&format!("# {}\n", kind.name)), "{}/doc.md has no title", kind.name);
            assert_eq!(
                kind.doc.matches("```yaml").count(),
                1,
                "{}/doc.md needs one runnable example",
                kind.name
            );
            assert!(kind.doc.contains(kind.stage.as_str()), "{}/doc.md does not name its stage", kind.name);
            assert!(!NOT_BUILT.iter().any(|(name, _)| *name == kind.name), "{} is built", kind.name);
        }
    }

    /// The words of a source that reach the access log as reasons.
    fn reasons(source: &str, arms: bool) -> Vec<String> {
        let plain = source.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
        let begins = ["Refused::new(\"", "refused(\"", "Some((KIND, \"", "Some((kind, \"", "=> \""];
        let begins = begins.iter().take(if arms { 5 } else { 4 });
        let found = begins.flat_map(|begin| plain.split(begin).skip(1));
        let words = found.filter_map(|rest| rest.split('"').next());
        let is_word = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        words.filter(is_word).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn every_reason_is_documented() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(root.join("../../docs/operations.md")).unwrap();
        let list = page.split("### Reasons").nth(1).unwrap().split("\n### ").next().unwrap();
        let mut sources = vec![
            ("jose", root.join("../jose/src/refusal.rs"), true),
            ("gate", root.join("src/authenticate.rs"), false),
            ("sharing", root.join("src/sharing.rs"), false),
        ];
        for kind in KINDS {
            let folder = root.join("src").join(kind.name);
            for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                // These have words of their own that end up in the log.
                let arms = matches!(kind.name, "hmac" | "authorize" | "csrf") && file.file_name() == "run.rs";
                if file.path().is_file() && file.file_name() != "tests.rs" {
                    sources.push((kind.name, file.path(), arms));
                }
            }
        }
        let mut count = 0;
        for (name, path, arms) in sources {
            for reason in reasons(&std::fs::read_to_string(path).unwrap(), arms) {
                count += 1;
                assert!(
                    list.contains(&format!("`{reason}`")),
                    "{name}: `{reason}` is not in docs/operations.md"
                );
            }
        }
        assert!(count > 60, "{count}");
    }

    #[test]
    fn every_folder_is_registered() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for entry in std::fs::read_dir(source).unwrap().map(Result::unwrap).filter(|e| e.path().is_dir()) {
            let folder = entry.file_name().into_string().unwrap();
            assert!(KINDS.iter().any(|kind| kind.name == folder), "{folder} is not in the list");
            for file in ["mod.rs", "config.rs", "compile.rs", "run.rs", "tests.rs", "doc.md"] {
                assert!(entry.path().join(file).exists(), "{folder}/{file} is missing");
            }
        }
    }
}
