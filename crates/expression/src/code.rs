//! What is evaluated: a checked tree in which every name, pattern and network is resolved.
//!
//! It must not know the source, of which it keeps only places. Entry point: [`Code`].

use crate::cidr::Network;
use crate::cost::Pattern;
use crate::functions::Function;
use crate::mistake::Span;
use crate::operators::Operator;
use crate::time::Nanos;

/// One step, and where it was written.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) op: Op,
    pub(crate) at: Span,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Op {
    Constant(Constant),
    /// A variable of the caller, by its key.
    Variable(u16),
    /// Whether the caller has it.
    HasVariable(u16),
    /// The variable of a macro, by the depth of that macro.
    Local(usize),
    Field(Box<Code>, Box<str>),
    HasField(Box<Code>, Box<str>),
    Index(Box<[Code; 2]>),
    List(Vec<Code>),
    Map(Vec<[Code; 2]>),
    Not(Box<Code>),
    Negate(Box<Code>),
    And(Vec<Code>),
    Or(Vec<Code>),
    Choose(Box<[Code; 3]>),
    Binary(Operator, Box<[Code; 2]>),
    Matches(Box<Code>, Box<Pattern>),
    IpIn(Box<Code>, Vec<Network>),
    Call(Function, Vec<Code>),
    /// A function of the caller, by its key, with its price.
    Foreign(u16, u32, Vec<Code>),
    Loop(Box<Loop>),
}

/// A macro over the elements of a list or the keys of a map.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) kind: Macro,
    pub(crate) range: Code,
    /// Which local the element is.
    pub(crate) local: usize,
    /// The condition, except for [`Macro::Map`], which may do without one.
    pub(crate) condition: Option<Code>,
    /// What [`Macro::Map`] makes of an element.
    pub(crate) made: Option<Code>,
}

/// The macros with a variable (language definition, section "Macros").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A value that stands in the source. Unlike [`crate::Value`] it owns everything and is shared between threads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Timestamp(Nanos),
    Duration(Nanos),
    List(Box<[Constant]>),
}
