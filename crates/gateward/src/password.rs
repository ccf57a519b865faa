//! `gateward hash-password`: the hash of a password, so that the password itself stands nowhere.

use std::io::IsTerminal;

use zeroize::Zeroizing;

use crate::{No, output};

/// Asks for a password and prints its hash. The password is not shown, and is asked for twice at a terminal.
pub(crate) fn hash_password() -> Result<(), No> {
    let read = if std::io::stdin().is_terminal() { ask() } else { read_line() };
    match read.and_then(|password| policy::hash_password(password.as_bytes())) {
        Ok(hash) => {
            output::line(&hash);
            Ok(())
        }
        Err(why) => {
            output::note(&why);
            Err(No)
        }
    }
}

fn ask() -> Result<Zeroizing<String>, String> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| format!("nothing can be read: {error}"))
    };
    let password = ask("Password: ")?;
    if password.is_empty() {
        return Err("an empty password protects nothing".to_owned());
    }
    if ask("The same again: ")? != password {
        return Err("these are two different passwords: nothing was hashed".to_owned());
    }
    Ok(password)
}

fn read_line() -> Result<Zeroizing<String>, String> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().read_line(&mut line).map_err(|error| format!("nothing can be read: {error}"))?;
    let password = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if password.is_empty() {
        return Err(
            "there is no password on standard input: printf %s \"$PASSWORD\" | gateward hash-password"
                .to_owned(),
        );
    }
    Ok(password)
}
