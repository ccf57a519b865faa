//! Keywords: an enum whose values are words of the language.
//!
//! Entry points: [`keywords!`](macro@crate::keywords) for an enum, [`decode_keyword`] for the word alone.

use diagnostics::{Code, Diagnostic, Diagnostics, Words};

use crate::node::Node;

/// Declares an enum of words.
///
/// Besides the enum it makes `ALL`, `as_str()`, `Display` and [`Decode`](crate::Decode). `not_built` lists
/// words that are refused with [`Code::NotBuilt`].
///
/// ```
/// use document::Decode;
///
/// document::keywords! {
///     /// How to choose an endpoint.
///     pub enum Balance {
///         /// One after the other.
///         RoundRobin = "round_robin",
///         /// Any.
///         Random = "random",
///     }
///     not_built { "ewma" => "choosing by latency" }
/// }
///
/// let mut diagnostics = document::Diagnostics::new();
/// let node = document::Node::plain("random", document::Span::default());
/// assert_eq!(Balance::decode(&node, &mut diagnostics), Some(Balance::Random));
/// assert_eq!(Balance::RoundRobin.as_str(), "round_robin");
/// ```
#[macro_export]
macro_rules! keywords {
    (
        $(#[doc = $doc:literal])+
        $vis:vis enum $name:ident {
            $( $(#[doc = $word_doc:literal])+ $variant:ident = $word:literal ),+ $(,)?
        }
        $( not_built { $( $later:literal => $what:literal ),* $(,)? } )?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $( $(#[doc = $word_doc])+ $variant, )+
        }

        impl $name {
            /// Every value, in the order of the declaration.
            $vis const ALL: &'static [Self] = &[ $( Self::$variant ),+ ];

            /// The word that stands for it in a file.
            $vis fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, out: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                out.write_str(self.as_str())
            }
        }

        impl $crate::Decode for $name {
            fn decode(node: &$crate::Node, diagnostics: &mut $crate::Diagnostics) -> Option<Self> {
                let not_built: &[(&str, &str)] = &[ $($( ($later, $what) ),*)? ];
                let at = $crate::decode_keyword(node, &[ $( $word ),+ ], not_built, diagnostics)?;
                Self::ALL.get(at).copied()
            }

            fn shape() -> $crate::Shape {
                $crate::Shape::Keyword(&[ $( $word ),+ ])
            }
        }
    };
}

/// The position of the word among `words`; reports what is none of them.
///
/// A word of `not_built` is recognised with settings too: `{ word: … }`.
pub fn decode_keyword(
    node: &Node,
    words: &[&str],
    not_built: &[(&str, &str)],
    diagnostics: &mut Diagnostics,
) -> Option<usize> {
    let all = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let Some(scalar) = node.scalar() else {
        // `{ word: settings }`, a word with settings of its own.
        if let Some([entry]) = node.map()
            && let Some((word, what)) = not_built.iter().find(|(later, _)| *later == entry.key.value)
        {
            diagnostics.push(Diagnostic::not_built(entry.key.span, word, what));
            return None;
        }
        diagnostics.push(node.wrong_type(&format!("one of {all}")));
        return None;
    };
    let at = words.iter().position(|word| *word == scalar.text);
    if at.is_none() {
        diagnostics.push(match not_built.iter().find(|(later, _)| *later == scalar.text) {
            Some((word, what)) => Diagnostic::not_built(node.span, word, what),
            None => {
                let message = format!("{} is not one of the possible values", scalar.shown());
                Diagnostic::error(Code::InvalidValue, node.span, Words::fixed(message))
                    .help(Words::fixed(format!("possible are {all}")))
                    .did_you_mean(&scalar.text, words.iter().copied())
            }
        });
    }
    at
}

#[cfg(test)]
mod tests {
    use diagnostics::{Diagnostics, Span};

    use crate::{Decode, Node};

    crate::keywords! {
        /// A colour.
        enum Colour {
            /// Like blood.
            Red = "red",
            /// Like the sky.
            Blue = "blue",
        }
        not_built { "green" => "the colour of grass" }
    }

    #[test]
    fn words_are_decoded_and_others_explained() {
        for (word, wanted, code, help) in [
            ("red", Some(Colour::Red), None, None),
            ("blu", None, Some("GW0201"), Some("did you mean `blue`?")),
            ("yellow", None, Some("GW0201"), Some("possible are `red`, `blue`")),
            ("green", None, Some("GW0104"), Some("remove it to use this version")),
        ] {
            let mut diagnostics = Diagnostics::new();
            assert_eq!(Colour::decode(&Node::plain(word, Span::default()), &mut diagnostics), wanted);
            assert_eq!(diagnostics.iter().next().map(|one| one.code.id()), code, "{word}");
            assert_eq!(diagnostics.iter().next().and_then(|one| one.help.as_deref()), help, "{word}");
        }
        assert_eq!(Colour::Blue.to_string(), "blue");
    }
}
