//! Tokens to a tree, by the grammar of CEL (language definition, section "Syntax").
//!
//! Every node keeps its place. The size and the depth of the tree are bounded, also where the grammar repeats
//! without nesting (`a.b.c`, `a + b + c`), so that whoever walks it may recurse. It must not know what names mean;
//! macros are ordinary calls here. Entry point: [`parse`].

use crate::code::Constant;
use crate::lexer::{Kind, Token, tokens};
use crate::literal;
use crate::mistake::{Mistake, Span};
use crate::operators::Operator;

/// The deepest tree, in nodes from the root to a leaf.
const MAX_DEPTH: u16 = 48;
/// The most nodes.
const MAX_NODES: usize = 1000;

/// A part of the source, with its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) tree: Tree,
    pub(crate) span: Span,
    /// The number of nodes on the longest way to a leaf.
    depth: u16,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Tree {
    Literal(Constant),
    Name(String),
    Select {
        of: Box<Node>,
        field: String,
        field_span: Span,
    },
    Index {
        of: Box<Node>,
        key: Box<Node>,
    },
    Call(Call),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<[Node; 2]>),
    /// At least two, joined by `&&`.
    And(Vec<Node>),
    /// At least two, joined by `||`.
    Or(Vec<Node>),
    Choose(Box<[Node; 3]>),
}

/// `name(arguments)` or `target.name(arguments)`.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) target: Option<Box<Node>>,
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) arguments: Vec<Node>,
}

/// Names that CEL keeps for languages that embed it.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The tree of a source, or what is wrong in it: all that are no tokens, or the first error of the grammar.
pub(crate) fn parse(source: &str) -> Result<Node, Vec<Mistake>> {
    let tokens = tokens(source)?;
    let mut parser = Parser { source, tokens: &tokens, at: 0, depth: 0, nodes: 0 };
    parser.whole().map_err(|mistake| vec![mistake])
}

struct Parser<'s> {
    source: &'s str,
    tokens: &'s [Token],
    at: usize,
    /// How deep the parser itself has gone.
    depth: u16,
    nodes: usize,
}

type Parsed = Result<Node, Mistake>;

impl<'s> Parser<'s> {
    fn whole(&mut self) -> Parsed {
        let node = self.expression()?;
        match self.token().kind {
            Kind::End => Ok(node),
            _ => Err(self.unexpected("an operator or the end")),
        }
    }

    fn token(&self) -> Token {
        let end = Span::new(self.source.len(), self.source.len());
        self.tokens.get(self.at).copied().unwrap_or(Token { kind: Kind::End, span: end })
    }

    fn text(&self, token: Token) -> &'s str {
        self.source.get(token.span.start as usize..token.span.end as usize).unwrap_or("")
    }

    fn advance(&mut self) -> Token {
        let token = self.token();
        self.at += 1;
        token
    }

    fn next_is(&self, symbol: &str) -> bool {
        matches!(self.token().kind, Kind::Symbol(found) if found == symbol)
    }

    fn takes(&mut self, symbol: &str) -> bool {
        let found = self.next_is(symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str, opened: Span) -> Result<Span, Mistake> {
        if self.next_is(symbol) {
            return Ok(self.advance().span);
        }
        let mistake = self.unexpected(&format!("`{symbol}`"));
        let opening = self.source.get(opened.start as usize..opened.end as usize).unwrap_or("");
        if mistake.help.is_none() && matches!(opening, "(" | "[" | "{") {
            return Err(mistake.with_help(format!("`{opening}` at byte {} is still open", opened.start)));
        }
        Err(mistake)
    }

    fn unexpected(&self, wanted: &str) -> Mistake {
        let token = self.token();
        let found = match token.kind {
            Kind::End => "it ends".to_owned(),
            _ => format!("`{}` stands", self.text(token)),
        };
        let mistake = Mistake::new(token.span, format!("{found} where {wanted} is expected"));
        match (token.kind, self.text(token)) {
            (Kind::Name, "and") => mistake.with_help("write `&&` for \"and\""),
            (Kind::Name, "or") => mistake.with_help("write `||` for \"or\""),
            (Kind::Symbol("{"), _) => mistake.with_help("messages cannot be made here"),
            _ => mistake,
        }
    }

    fn node(&mut self, tree: Tree, span: Span, below: u16) -> Parsed {
        self.nodes += 1;
        let depth = below.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(Mistake::new(span, format!("the condition has more than {MAX_NODES} parts"))
                .with_help("split it into several conditions"));
        }
        if depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        Ok(Node { tree, span, depth })
    }

    /// Runs one rule of the grammar that may contain itself.
    fn nested(&mut self, rule: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth >= MAX_DEPTH {
            return Err(too_deep(self.token().span));
        }
        self.depth += 1;
        let parsed = rule(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self) -> Parsed {
        self.nested(|parser| {
            let condition = parser.either()?;
            let question = parser.token().span;
            if !parser.takes("?") {
                return Ok(condition);
            }
            let first = parser.either()?;
            parser.expect(":", question)?;
            let second = parser.expression()?;
            let below = condition.depth.max(first.depth).max(second.depth);
            let span = condition.span.to(second.span);
            parser.node(Tree::Choose(Box::new([condition, first, second])), span, below)
        })
    }

    fn either(&mut self) -> Parsed {
        self.chain("||", Self::both, Tree::Or)
    }

    fn both(&mut self) -> Parsed {
        self.chain("&&", |parser| parser.binary(1), Tree::And)
    }

    /// As many as there are stand side by side: a long chain makes no deep tree.
    fn chain(
        &mut self,
        symbol: &str,
        mut part: impl FnMut(&mut Self) -> Parsed,
        join: impl FnOnce(Vec<Node>) -> Tree,
    ) -> Parsed {
        let first = part(self)?;
        if !self.next_is(symbol) {
            return Ok(first);
        }
        let (start, mut end, mut below) = (first.span, first.span, first.depth);
        let mut parts = vec![first];
        while self.takes(symbol) {
            let next = part(self)?;
            (end, below) = (next.span, below.max(next.depth));
            parts.push(next);
        }
        self.node(join(parts), start.to(end), below)
    }

    /// Comparisons (1), sums (2) and products (3), all from left to right.
    fn binary(&mut self, level: u8) -> Parsed {
        if level > 3 {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        loop {
            let operator = match self.token().kind {
                Kind::Symbol(symbol) => Operator::from_symbol(symbol).filter(|found| found.level() == level),
                _ => None,
            };
            let Some(operator) = operator else { return Ok(left) };
            self.at += 1;
            let right = self.binary(level + 1)?;
            let (span, below) = (left.span.to(right.span), left.depth.max(right.depth));
            left = self.node(Tree::Binary(operator, Box::new([left, right])), span, below)?;
        }
    }

    fn unary(&mut self) -> Parsed {
        let start = self.token().span;
        if self.takes("!") {
            let of = self.nested(Self::unary)?;
            let (span, below) = (start.to(of.span), of.depth);
            return self.node(Tree::Not(Box::new(of)), span, below);
        }
        let sign_of_literal =
            matches!(self.tokens.get(self.at + 1), Some(Token { kind: Kind::Int | Kind::Double, .. }));
        if self.next_is("-") && !sign_of_literal {
            self.at += 1;
            let of = self.nested(Self::unary)?;
            let (span, below) = (start.to(of.span), of.depth);
            return self.node(Tree::Negate(Box::new(of)), span, below);
        }
        self.member()
    }

    fn member(&mut self) -> Parsed {
        let mut node = self.primary()?;
        loop {
            let start = node.span;
            if self.takes(".") {
                let name = self.token();
                if name.kind != Kind::Name {
                    return Err(self.unexpected("the name of a field or function"));
                }
                self.at += 1;
                let (field, below) = (self.text(name).to_owned(), node.depth);
                if self.next_is("(") {
                    node = self.call(Some(node), name)?;
                } else {
                    let tree = Tree::Select { of: Box::new(node), field, field_span: name.span };
                    node = self.node(tree, start.to(name.span), below)?;
                }
            } else if self.next_is("[") {
                let open = self.advance().span;
                let key = self.expression()?;
                let close = self.expect("]", open)?;
                let below = node.depth.max(key.depth);
                let tree = Tree::Index { of: Box::new(node), key: Box::new(key) };
                node = self.node(tree, start.to(close), below)?;
            } else {
                return Ok(node);
            }
        }
    }

    /// A call, whose name was taken.
    fn call(&mut self, target: Option<Node>, name: Token) -> Parsed {
        let open = self.advance().span;
        let (arguments, close) = self.list(open, ")")?;
        let below = deepest(&arguments).max(target.as_ref().map_or(0, |target| target.depth));
        let start = target.as_ref().map_or(name.span, |target| target.span);
        let (target, name_span) = (target.map(Box::new), name.span);
        let call = Call { target, name: self.text(name).to_owned(), name_span, arguments };
        self.node(Tree::Call(call), start.to(close), below)
    }

    /// Expressions with commas between them, and the closing bracket. Only a list may end with a comma.
    fn list(&mut self, open: Span, close: &str) -> Result<(Vec<Node>, Span), Mistake> {
        let mut elements = Vec::new();
        while !self.next_is(close) {
            elements.push(self.expression()?);
            if !self.takes(",") {
                break;
            }
            if close == ")" && self.next_is(close) {
                return Err(self.unexpected("an argument"));
            }
        }
        Ok((elements, self.expect(close, open)?))
    }

    fn map(&mut self, open: Span) -> Parsed {
        let (mut entries, mut below) = (Vec::new(), 0);
        while !self.next_is("}") {
            let key = self.expression()?;
            self.expect(":", key.span)?;
            let value = self.expression()?;
            below = below.max(key.depth).max(value.depth);
            entries.push((key, value));
            if !self.takes(",") {
                break;
            }
        }
        let close = self.expect("}", open)?;
        self.node(Tree::Map(entries), open.to(close), below)
    }

    fn primary(&mut self) -> Parsed {
        let token = self.token();
        match token.kind {
            Kind::Symbol("(") => {
                self.at += 1;
                let mut inner = self.expression()?;
                // The brackets belong to the place: what is shown would otherwise end inside of them.
                inner.span = token.span.to(self.expect(")", token.span)?);
                Ok(inner)
            }
            Kind::Symbol("[") => {
                self.at += 1;
                let (elements, close) = self.list(token.span, "]")?;
                let below = deepest(&elements);
                self.node(Tree::List(elements), token.span.to(close), below)
            }
            Kind::Symbol("{") => {
                self.at += 1;
                self.map(token.span)
            }
            Kind::Name => self.name(token),
            _ => self.literal(token),
        }
    }

    fn name(&mut self, token: Token) -> Parsed {
        let name = self.text(token);
        if RESERVED.contains(&name) {
            return Err(Mistake::new(token.span, format!("`{name}` is a reserved word of CEL")));
        }
        let operator_follows = match self.tokens.get(self.at + 1).map(|next| next.kind) {
            Some(Kind::Symbol(symbol)) => !matches!(symbol, "true" | "false" | "null" | "!"),
            Some(Kind::End) | None => true,
            Some(_) => false,
        };
        if name == "not" && !operator_follows {
            return Err(
                Mistake::new(token.span, "there is no `not` in CEL").with_help("write `!` for \"not\"")
            );
        }
        self.at += 1;
        if self.next_is("(") {
            return self.call(None, token);
        }
        self.node(Tree::Name(name.to_owned()), token.span, 0)
    }

    fn literal(&mut self, first: Token) -> Parsed {
        let negative = self.takes("-");
        let token = self.token();
        let (text, span) = (self.text(token), first.span.to(token.span));
        let constant = match token.kind {
            Kind::Int => Constant::Int(literal::int(text, negative, span)?),
            Kind::Double => Constant::Double(literal::double(text, negative, span)?),
            Kind::Uint => Constant::Uint(literal::uint(text, span)?),
            Kind::Text => Constant::Text(literal::text(text, span)?.into()),
            Kind::Bytes => Constant::Bytes(literal::bytes(text, span)?.into()),
            Kind::Symbol("true") => Constant::Bool(true),
            Kind::Symbol("false") => Constant::Bool(false),
            Kind::Symbol("null") => Constant::Null,
            _ => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        self.node(Tree::Literal(constant), span, 0)
    }
}

fn deepest(nodes: &[Node]) -> u16 {
    nodes.iter().map(|node| node.depth).max().unwrap_or(0)
}

fn too_deep(span: Span) -> Mistake {
    Mistake::new(span, format!("the condition is nested more than {MAX_DEPTH} deep"))
        .with_help("split it into several conditions")
}
