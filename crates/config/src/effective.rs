//! What holds: the configuration as JSON, with every default and without secrets.
//!
//! Entry point: [`effective`].

use document::{Decode, Node, Shape};
use serde_json::Value;

use crate::model::Config;

/// What holds by a configuration: its sections with all defaults, short forms written out, values from outside
/// and values such as `token` as `"[hidden]"`. See [`document::effective`].
///
/// `tree` is [`Loaded::tree`](crate::Loaded); `policy_shape` gives the shape of the settings of a kind of policy.
/// Settings of kinds without one are hidden. It says nothing about whether the configuration is right.
pub fn effective(tree: &Node, policy_shape: &dyn Fn(&str) -> Option<Shape>) -> Value {
    let mut all = document::effective(tree, &Config::shape(), policy_shape);
    // What was included is there already.
    if let Value::Object(sections) = &mut all {
        sections.remove("include");
    }
    all
}
