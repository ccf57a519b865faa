//! Reads the files that values name, and hangs what stands in them on those values.
//!
//! What names a file is found by the shape of the language, so that no key can be forgotten here. It happens
//! between joining and decoding: then decoding is pure, and a tree is equal to another one only if its files are.
//! Entry point: [`attach`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use document::{Environment, FileBytes, FileText, Files, Node, Shape, Sources, Value, read_linked};

use crate::acme::certificate_files;
use crate::files::tidy;
use crate::model::Config;
use crate::policies::PolicyShapes;

/// Reads every file that a value of the tree names, those of policies included.
pub(crate) fn attach(
    tree: &mut Node,
    sources: &Sources,
    environment: &dyn Environment,
    policies: PolicyShapes,
) {
    let reader = Reader { sources, environment, policies };
    let hosts = acme_hosts(tree);
    let Value::Map(entries) = &mut tree.value else { return };
    for entry in entries {
        if entry.key.value == "state_dir" {
            reader.state(&mut entry.node, &hosts);
        }
        let info = Config::info();
        let key = info.keys.iter().find(|key| key.name == entry.key.value);
        // Looking at ten thousand routes one by one costs time, and there is no file in them.
        if let Some(key) = key.filter(|key| matters(&key.shape)) {
            reader.walk(&mut entry.node, &key.shape);
        }
        match (&*entry.key.value, &mut entry.node.value) {
            ("policies", _) => reader.policies(&mut entry.node),
            ("services", Value::Map(services)) => {
                services.iter_mut().for_each(|service| reader.policies_in(&mut service.node));
            }
            ("routes", Value::List(routes)) => routes.iter_mut().for_each(|route| reader.policies_in(route)),
            _ => {}
        }
    }
}

struct Reader<'a> {
    sources: &'a Sources,
    environment: &'a dyn Environment,
    policies: PolicyShapes,
}

impl Reader<'_> {
    /// Of a service, or of a route.
    fn policies_in(&self, node: &mut Node) {
        let Value::Map(entries) = &mut node.value else { return };
        let policies = entries.iter_mut().find(|entry| entry.key.value == "policies");
        policies.into_iter().for_each(|entry| self.policies(&mut entry.node));
    }

    fn policies(&self, node: &mut Node) {
        let Value::Map(entries) = &mut node.value else { return };
        for entry in entries {
            if let Some(shape) = (self.policies)(&entry.key.value) {
                self.walk(&mut entry.node, &shape);
            }
        }
    }

    fn walk(&self, node: &mut Node, shape: &Shape) {
        if let (Shape::Text { format: Shape::FILE, .. }, Value::Scalar(_)) = (shape, &node.value) {
            return self.file(node);
        }
        if let (Shape::Text { format: Shape::WATCHED, .. }, Value::Scalar(_)) = (shape, &node.value) {
            if let Some(path) = self.path(node) {
                hang(node, Files { path, texts: Vec::new(), binary: None });
            }
            return;
        }
        if let (Shape::Text { format: Shape::BINARY, .. }, Value::Scalar(_)) = (shape, &node.value) {
            if let Some(path) = self.path(node) {
                let binary = FileBytes::read(&path, self.environment);
                hang(node, Files { path, texts: Vec::new(), binary });
            }
            return;
        }
        if let (Shape::Text { format: Shape::LINKED, .. }, Value::Scalar(_)) = (shape, &node.value) {
            if let Some(path) = self.path(node) {
                let texts = read_linked(path.clone(), self.environment, tidy);
                hang(node, Files { path, texts, binary: None });
            }
            return;
        }
        match (shape, &mut node.value) {
            (Shape::OneOf(shapes), _) => shapes.iter().for_each(|shape| self.walk(node, shape)),
            (Shape::List(inner), Value::List(nodes)) => {
                nodes.iter_mut().for_each(|node| self.walk(node, inner));
            }
            (Shape::Map(inner), Value::Map(entries)) => {
                entries.iter_mut().for_each(|entry| self.walk(&mut entry.node, inner));
            }
            (Shape::Section(info), Value::Map(entries)) => {
                let info = info();
                for entry in entries {
                    if let Some(key) = info.keys.iter().find(|key| key.name == entry.key.value) {
                        self.walk(&mut entry.node, &key.shape);
                    }
                }
            }
            _ => {}
        }
    }

    /// The path that a value means, from the folder of the file that holds it.
    fn path(&self, node: &Node) -> Option<PathBuf> {
        let text = node.text().filter(|text| !text.is_empty())?;
        let folder = Path::new(self.sources.name(node.span.source)).parent().unwrap_or(Path::new(""));
        Some(tidy(&folder.join(text)))
    }

    fn file(&self, node: &mut Node) {
        let Some(path) = self.path(node) else { return };
        let texts = FileText::read(&path, self.environment).into_iter().collect();
        hang(node, Files { path, texts, binary: None });
    }

    fn state(&self, node: &mut Node, hosts: &BTreeSet<String>) {
        let Some(path) = self.path(node) else { return };
        let files = hosts.iter().filter_map(|host| certificate_files(&path, host)).flatten();
        let texts = files.filter_map(|file| FileText::read(&file, self.environment)).collect();
        hang(node, Files { path, texts, binary: None });
    }
}

fn hang(node: &mut Node, files: Files) {
    if let Value::Scalar(scalar) = &mut node.value {
        scalar.files = Some(Box::new(files));
    }
}

/// Whether a value of this shape can name a file.
fn matters(shape: &Shape) -> bool {
    fn look(shape: &Shape, seen: &mut Vec<&'static str>) -> bool {
        match shape {
            Shape::Text { format, .. } => {
                matches!(*format, Shape::FILE | Shape::WATCHED | Shape::BINARY | Shape::LINKED)
            }
            Shape::List(inner) | Shape::Map(inner) => look(inner, seen),
            Shape::OneOf(shapes) => shapes.iter().any(|shape| look(shape, seen)),
            Shape::Section(info) => {
                let info = info();
                // A section may hold itself.
                if seen.contains(&info.name) {
                    return false;
                }
                seen.push(info.name);
                info.keys.iter().any(|key| look(&key.shape, seen))
            }
            Shape::Any | Shape::Boolean | Shape::Integer { .. } | Shape::Keyword(_) => false,
        }
    }
    look(shape, &mut Vec::new())
}

/// The hosts that certificates may be kept for: those that `acme` names, and with `on_demand` those of routes.
fn acme_hosts(tree: &Node) -> BTreeSet<String> {
    let many = |node: Option<&Node>| -> Vec<Node> {
        match node {
            Some(node) => node.list().map_or_else(|| vec![node.clone()], <[Node]>::to_vec),
            None => Vec::new(),
        }
    };
    let texts = |node: Option<&Node>| {
        many(node).iter().filter_map(|one| Some(one.text()?.to_ascii_lowercase())).collect()
    };
    let mut hosts = BTreeSet::new();
    let mut on_demand = false;
    for listen in many(tree.get("listen")) {
        let Some(acme) = listen.get("tls").and_then(|tls| tls.get("acme")) else { continue };
        on_demand |= acme.get("on_demand").is_some_and(|node| node.text() == Some("true"));
        let own: Vec<String> = texts(acme.get("hosts"));
        hosts.extend(own);
    }
    if on_demand {
        for route in tree.get("routes").and_then(Node::list).unwrap_or_default() {
            let own: Vec<String> = texts(route.get("hosts"));
            hosts.extend(own.into_iter().filter(|host| !host.contains('*')));
        }
    }
    hosts
}
