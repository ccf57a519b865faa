//! The list of policies. A new policy is a folder and one line in `policies!`.

use diagnostics::Diagnostics;
use document::{Node, SectionInfo};

use crate::{Flow, RequestCx, ResponseCx, Stage};

macro_rules! policies {
    ($($folder:ident: $variant:ident,)*) => {
        /// A policy, ready to run.
        #[derive(Debug)]
        pub enum Policy {
            $(#[doc = concat!("See [`crate::", stringify!($folder), "`].")] $variant(crate::$folder::Ready),)*
        }

        /// Every kind of policy, in the order in which they run within a stage.
        pub const KINDS: &[Kind] = &[
            $(Kind {
                name: stringify!($folder),
                stage: crate::$folder::Ready::STAGE,
                can_refuse: crate::$folder::Ready::CAN_REFUSE,
                doc: include_str!(concat!(stringify!($folder), "/doc.md")),
                section: crate::$folder::Raw::info,
            },)*
        ];

        #[allow(non_camel_case_types, reason = "the names of the folders, used as positions in KINDS")]
        enum Position { $($folder,)* }

        impl Policy {
            /// Its position in [`KINDS`].
            pub fn kind_index(&self) -> usize {
                match self { $(Policy::$variant(_) => Position::$folder as usize,)* }
            }

            #[inline]
            pub(crate) fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
                match self { $(Policy::$variant(ready) => ready.on_request(cx),)* }
            }

            #[inline]
            pub(crate) fn on_response(&self, cx: &mut ResponseCx<'_>) {
                match self { $(Policy::$variant(ready) => ready.on_response(cx),)* }
            }
        }

        /// Decodes and prepares a policy of a kind. `None` where the kind is unknown or, with
        /// diagnostics, where it could not be built: a policy is never skipped.
        pub fn compile(kind: &str, node: &Node, diagnostics: &mut Diagnostics) -> Option<Policy> {
            match kind {
                $(stringify!($folder) => {
                    let raw = <crate::$folder::Raw as document::Decode>::decode(node, diagnostics)?;
                    crate::$folder::compile(&raw, diagnostics).map(Policy::$variant)
                })*
                _ => None,
            }
        }
    };
}

policies! {
    request_id: RequestId,
    size_limit: SizeLimit,
    fault: Fault,
    headers: Headers,
    security_headers: SecurityHeaders,
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
    /// Its page, Markdown.
    pub doc: &'static str,
    /// What the user writes.
    pub section: fn() -> SectionInfo,
}

/// Kinds that the language has and this version does not, with what they are for.
pub const NOT_BUILT: &[(&str, &str)] = &[
    ("authorize", "who may call what"),
    ("api_key", "API keys"),
    ("basic", "user names and passwords"),
    ("cache", "answers from a cache"),
    ("compress", "compressed responses"),
    ("cors", "cross-origin requests of browsers"),
    ("hmac", "signed requests"),
    ("ip_filter", "rules by client address"),
    ("jwt", "JSON Web Tokens"),
    ("oidc", "login with OpenID Connect"),
    ("quota", "limits by day and month"),
    ("rate_limit", "limits by second and minute"),
    ("validate", "validation against OpenAPI"),
];

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_rules_hold_for_every_kind() {
        for kind in KINDS {
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
