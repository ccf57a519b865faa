//! `admin`

use config::{Admin as Raw, AdminSetting, Config};
use diagnostics::{Code, Diagnostic, Diagnostics};
use snapshot::Admin;

/// Where those who run the gateway are answered; a conflict with a listener is reported.
pub(crate) fn compile(config: &Config, diagnostics: &mut Diagnostics) -> Admin {
    match &config.admin {
        None => {
            // Nobody has asked for this address; a listener that is there has it.
            let taken =
                |one: &config::Listen| crate::listeners::overlap(one.address.value.0, Raw::DEFAULT_ADDRESS);
            let address = Some(Raw::DEFAULT_ADDRESS).filter(|_| !config.listen.iter().any(taken));
            Admin { address, token: None, explicit: false }
        }
        Some(AdminSetting::Off) => Admin { address: None, token: None, explicit: true },
        Some(AdminSetting::On(raw)) => {
            let address = raw.address.0;
            let mut listeners = config.listen.iter();
            let taken = listeners.find(|one| crate::listeners::overlap(one.address.value.0, address));
            if let Some(listener) = taken {
                diagnostics.push(
                    Diagnostic::error(
                        Code::AddressConflict,
                        raw.span,
                        format!("{address} is taken by the listener on {}", listener.address.value.0),
                    )
                    .related(listener.address.span, "the listener")
                    .help("give the admin listener another port: clients must not reach it"),
                );
            }
            Admin { address: Some(address), token: raw.token.clone(), explicit: true }
        }
    }
}
