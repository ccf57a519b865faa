//! `admin`: where the gateway answers those who run it.
//!
//! What it answers is for the crates above. Entry point: [`AdminSetting`].

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use diagnostics::{Code, Diagnostic, Diagnostics};
use document::{Decode, Node, Secret, Shape, SocketAddress, section};

/// The fewest characters of a token: what is shorter can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What is said about the admin listener.
#[derive(Clone, Debug)]
pub enum AdminSetting {
    /// `off`: there is none.
    Off,
    /// Where it listens, and who may ask.
    On(Admin),
}

section! {
    /// Where the gateway answers those who run it: whether it is ready, what it does, what its configuration is.
    /// The address alone may stand for the section, `admin: 127.0.0.1:9901`; `off` switches it off.
    pub struct Admin {
        /// An IP address and a port. One that is not a loopback address needs a `token`.
        address: SocketAddress = "127.0.0.1:9901",
        /// What has to be shown to be answered, as `authorization: Bearer TOKEN`: 16 characters or more, without
        /// spaces. Without it everybody who can reach the address is answered. `/livez` and `/readyz` need no
        /// token.
        token: Option<Secret>,
    }
    short address
}

impl Admin {
    /// Where it listens if nothing is said.
    pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9901));
}

impl Decode for AdminSetting {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.text() {
            Some("off") => return Some(Self::Off),
            Some("false" | "no") => {
                diagnostics.push(node.wrong_type("an address, or `off`").help("write `off`"));
                return None;
            }
            _ => {}
        }
        let admin = Admin::decode(node, diagnostics)?;
        check_token(&admin, node, diagnostics);
        check_exposure(&admin, node, diagnostics);
        Some(Self::On(admin))
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["off"]), Admin::shape()])
    }
}

/// A token has to be hard to guess, and it has to be possible to send it.
fn check_token(admin: &Admin, node: &Node, diagnostics: &mut Diagnostics) {
    const HELP: &str = "`openssl rand -hex 32` makes a good one";
    let Some(token) = &admin.token else { return };
    let place = node.get("token").map_or(node.span, |token| token.span);
    if token.expose().chars().count() < SHORTEST_TOKEN {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, place, "the token is too short")
                .label(format!("must have {SHORTEST_TOKEN} characters or more"))
                .help(HELP),
        );
    } else if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, place, "the token cannot be sent in a header")
                .label("must be letters, digits and punctuation of ASCII, without spaces")
                .help(HELP),
        );
    }
}

/// Others may reach it only if they have to say who they are.
fn check_exposure(admin: &Admin, node: &Node, diagnostics: &mut Diagnostics) {
    // A token that is written and wrong was reported as that.
    if admin.address.0.ip().to_canonical().is_loopback() || node.get("token").is_some() {
        return;
    }
    let place = node.get("address").map_or(node.span, |address| address.span);
    let help = "add a token, `admin: { address: …, token: \"${env:GATEWARD_ADMIN_TOKEN}\" }`, or use a loopback \
                address such as `127.0.0.1:9901`";
    diagnostics.push(
        Diagnostic::error(Code::AdminExposed, place, "the admin listener can be reached by others")
            .label("not a loopback address, and there is no token")
            .help(help),
    );
}
