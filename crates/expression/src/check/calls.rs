//! The check of calls: functions of CEL and of the caller, and those whose argument is prepared at load.
//!
//! It must not know what functions do. Entry point: [`Checker::call`].

use super::loops::MACROS;
use super::{Checker, Size, Typed};
use crate::cidr::Network;
use crate::code::{Constant, Op};
use crate::convert;
use crate::cost::Pattern;
use crate::functions::{Function, Overload, overloads};
use crate::mistake::{Mistake, Span};
use crate::names::nearest;
use crate::parser::{Call, Node, Tree};
use crate::schema::Type;
use crate::value::Value;

/// The most patterns: each keeps an automaton, and a part of it that is built as needed, in memory.
const MAX_PATTERNS: usize = 16;

impl Checker<'_> {
    pub(super) fn call(&mut self, span: Span, call: &Call) -> Typed {
        let known = MACROS.iter().find(|(name, _)| *name == call.name);
        match (call.name.as_str(), call.target.as_deref(), call.arguments.as_slice()) {
            ("has", None, _) => self.has(span, call),
            (_, Some(range), _) if let Some((_, kind)) = known => self.walk(span, *kind, range, call),
            ("matches", Some(text), [pattern]) | ("matches", None, [text, pattern]) => {
                self.matches(span, text, pattern)
            }
            ("ip_in", None, [address, networks]) => self.ip_in(span, address, networks),
            ("matches", ..) => self.wrong_form(span, "matches", "text.matches(\"pattern\")"),
            ("ip_in", ..) => self.wrong_form(span, "ip_in", "ip_in(address, \"10.0.0.0/8\")"),
            (name, None, _) if self.schema.functions.iter().any(|declared| declared.name == name) => {
                self.declared(span, call)
            }
            _ => self.function(span, call),
        }
    }

    fn wrong_form(&mut self, span: Span, name: &str, form: &str) -> Typed {
        self.mistake(
            Mistake::new(span, format!("`{name}` is not called like this"))
                .with_help(format!("write `{form}`")),
        );
        self.nothing(span)
    }

    /// A part that must be a string.
    fn text(&mut self, who: &str, node: &Node) -> Typed {
        let typed = self.check(node);
        if !typed.is.fits(&Type::String) {
            self.mistake(Mistake::new(node.span, format!("{who} takes string, but this is {}", typed.is)));
        }
        typed
    }

    fn matches(&mut self, span: Span, text: &Node, pattern: &Node) -> Typed {
        let text = self.text("`matches`", text);
        let Tree::Literal(Constant::Text(literal)) = &pattern.tree else {
            self.check(pattern);
            self.mistake(
                Mistake::new(pattern.span, "the pattern must be a literal")
                    .with_help("it is compiled once, when the configuration is loaded"),
            );
            return self.nothing(span);
        };
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            let message = format!("there are more than {MAX_PATTERNS} patterns");
            self.mistake(Mistake::new(pattern.span, message).with_help("join some of them: `a|b`"));
            return self.nothing(span);
        }
        match Pattern::compile(literal) {
            Ok(compiled) => {
                let bytes = usize::try_from(text.size.bytes).unwrap_or(usize::MAX);
                let cost = text.cost.saturating_add(compiled.cost(bytes));
                self.typed(Op::Matches(Box::new(text.code), Box::new(compiled)), span, Type::Bool, cost)
            }
            Err(why) => {
                let mistake = Mistake::new(pattern.span, format!("the pattern is not valid: {why}"));
                self.mistake(mistake.with_help("the syntax is described at https://docs.rs/regex/#syntax"));
                self.nothing(span)
            }
        }
    }

    fn ip_in(&mut self, span: Span, address: &Node, networks: &Node) -> Typed {
        let address = self.text("`ip_in`", address);
        let one = std::slice::from_ref(networks);
        let listed = if let Tree::List(elements) = &networks.tree { elements.as_slice() } else { one };
        let mut parsed = Vec::with_capacity(listed.len());
        for node in listed {
            let Tree::Literal(Constant::Text(literal)) = &node.tree else {
                self.check(node);
                self.mistake(Mistake::new(node.span, "a network must be a literal").with_help(
                    "write \"10.0.0.0/8\", or a list of such: [\"10.0.0.0/8\", \"2001:db8::/32\"]",
                ));
                continue;
            };
            match Network::parse(literal) {
                Ok(network) => parsed.push(network),
                Err(help) => {
                    let help = help.unwrap_or_else(|| {
                        "write for instance \"10.0.0.0/8\" or \"2001:db8::/32\"".to_owned()
                    });
                    self.mistake(
                        Mistake::new(node.span, format!("`{literal}` is not a network")).with_help(help),
                    );
                }
            }
        }
        let cost = address.cost.saturating_add(parsed.len() as u64);
        self.typed(Op::IpIn(Box::new(address.code), parsed), span, Type::Bool, cost)
    }

    /// A function of the caller.
    fn declared(&mut self, span: Span, call: &Call) -> Typed {
        let arguments: Vec<Typed> = call.arguments.iter().map(|argument| self.check(argument)).collect();
        let types: Vec<&Type> = arguments.iter().map(|argument| &argument.is).collect();
        let named: Vec<_> =
            self.schema.functions.iter().filter(|declared| declared.name == call.name).collect();
        let fitting = named.iter().find(|declared| {
            declared.parameters.len() == types.len()
                && declared.parameters.iter().zip(&types).all(|(wanted, is)| is.fits(wanted))
        });
        let Some(declared) = fitting else {
            let forms: Vec<String> = named
                .iter()
                .map(|declared| format!("`{}({})`", declared.name, shown(&declared.parameters)))
                .collect();
            let message = format!("`{}` does not take ({})", call.name, shown(types));
            self.mistake(Mistake::new(span, message).with_help(format!("write {}", forms.join(" or "))));
            return self.nothing(span);
        };
        let (key, price, is) = (declared.key, declared.steps, declared.result.clone());
        let cost = arguments.iter().fold(u64::from(price), |sum, argument| sum.saturating_add(argument.cost));
        let codes = arguments.into_iter().map(|argument| argument.code).collect();
        self.typed(Op::Foreign(key, price, codes), span, is, cost)
    }

    /// A function of CEL.
    fn function(&mut self, span: Span, call: &Call) -> Typed {
        let target = call.target.as_deref();
        let nodes: Vec<&Node> = target.into_iter().chain(&call.arguments).collect();
        let overload = overloads()
            .iter()
            .find(|overload| overload.name == call.name && overload.member == target.is_some());
        let Some(overload) = overload else {
            let mistake = self.no_function(call);
            self.mistake(mistake);
            // That the target is a group would be a second mistake with the same cause.
            target.into_iter().for_each(|target| drop(self.find(target)));
            call.arguments.iter().for_each(|argument| drop(self.check(argument)));
            return self.nothing(span);
        };
        let arguments: Vec<Typed> = nodes.iter().map(|node| self.check(node)).collect();
        if overload.parameters.len() != nodes.len() {
            let wanted = overload.parameters.len() - usize::from(overload.member);
            let arguments = if wanted == 1 { "argument" } else { "arguments" };
            let message = format!("`{}` takes {wanted} {arguments}, not {}", call.name, call.arguments.len());
            self.mistake(Mistake::new(span, message));
            return self.nothing(span);
        }
        let mut fits = true;
        for ((typed, node), classes) in arguments.iter().zip(&nodes).zip(overload.parameters) {
            if !classes.iter().any(|class| class.takes(&typed.is)) {
                let wanted: Vec<_> = classes.iter().map(|class| class.name()).collect();
                let message =
                    format!("`{}` takes {}, but this is {}", call.name, wanted.join(" or "), typed.is);
                self.mistake(Mistake::new(node.span, message));
                fits = false;
            }
        }
        match self.folded(span, overload, &nodes) {
            Some(folded) => folded,
            None if fits => self.applied(span, overload, arguments),
            None => self.nothing(span),
        }
    }

    fn applied(&mut self, span: Span, overload: &Overload, arguments: Vec<Typed>) -> Typed {
        let cost = arguments.iter().fold(0_u64, |sum, argument| sum.saturating_add(argument.cost));
        let size = arguments.iter().fold(Size::default(), |sum, argument| sum.and(argument.size));
        let goes_over = !matches!(
            overload.function,
            Function::Int | Function::Uint | Function::Double | Function::Bool | Function::Dyn
        );
        let cost = cost.saturating_add(if goes_over { size.weight() } else { 0 });
        // The longest text of what has no bytes is that of an instant.
        let size = size.or(Size { elements: 0, bytes: 64 });
        let codes = arguments.into_iter().map(|argument| argument.code).collect();
        Self::sized(Op::Call(overload.function, codes), span, overload.result.clone(), cost, size)
    }

    /// `timestamp("…")` and `duration("…")` are values, whose mistakes are found at load.
    fn folded(&mut self, span: Span, overload: &Overload, nodes: &[&Node]) -> Option<Typed> {
        let [Node { tree: Tree::Literal(Constant::Text(text)), span: literal, .. }] = nodes else {
            return None;
        };
        let value = Value::from(&**text);
        let (converted, form) = match overload.function {
            Function::Timestamp => (convert::timestamp(&value), "2030-01-01T00:00:00Z"),
            Function::Duration => (convert::duration(&value), "1h30m"),
            _ => return None,
        };
        let constant = match converted {
            Ok(Value::Timestamp(at)) => Constant::Timestamp(at),
            Ok(Value::Duration(length)) => Constant::Duration(length),
            _ => {
                let message = format!("`{text}` is no {}", overload.name);
                self.mistake(
                    Mistake::new(*literal, message).with_help(format!("write for instance \"{form}\"")),
                );
                return Some(self.nothing(span));
            }
        };
        Some(self.typed(Op::Constant(constant), span, overload.result.clone(), 0))
    }

    fn no_function(&self, call: &Call) -> Mistake {
        let name = call.name.as_str();
        let mistake = Mistake::new(call.name_span, format!("there is no function `{name}`"));
        let special = [("has", false), ("matches", true), ("ip_in", false)];
        let members = MACROS.iter().map(|(name, _)| (*name, true));
        let of_cel = overloads().iter().map(|overload| (overload.name, overload.member));
        let declared = self.schema.functions.iter().map(|declared| (declared.name.as_str(), false));
        let all: Vec<(&str, bool)> =
            special.into_iter().chain(members).chain(of_cel).chain(declared).collect();
        let shown =
            |name: &str, member: bool| if member { format!("x.{name}(…)") } else { format!("{name}(…)") };
        if let Some((_, member)) = all.iter().find(|(known, _)| *known == name) {
            let other_way = if *member { "on a value" } else { "without a value before it" };
            return Mistake::new(call.name_span, format!("`{name}` is called {other_way}"))
                .with_help(format!("write `{}`", shown(name, *member)));
        }
        match nearest(name, all.iter().map(|(known, _)| *known)) {
            Some(meant) => {
                let member = all.iter().any(|(known, member)| *known == meant && *member);
                mistake.with_help(format!("did you mean `{}`?", shown(meant, member)))
            }
            None => mistake,
        }
    }
}

fn shown<'t>(types: impl IntoIterator<Item = &'t Type>) -> String {
    types.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
