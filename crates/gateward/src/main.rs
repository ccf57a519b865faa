//! The command line.
//!
//! Every command is a file. Exit codes: 0 fine, 1 the answer is no, 2 wrong usage. Entry point: [`main`].

mod arguments;
mod check;
mod configuration;
mod demo;
mod explain;
mod exposure;
mod keys;
mod operator;
mod output;
mod password;
mod run;
mod schema;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::arguments::{Arguments, Command};

/// The answer is no: a configuration that is wrong, an address that is taken.
const NO: u8 = 1;

fn main() -> ExitCode {
    // clap itself ends with 0 for --help and 2 for wrong usage.
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Run(options) => run::run(&options),
        Command::Check(options) => check::check(&options),
        Command::Explain(options) => return explain::explain(&options),
        Command::Demo(options) => demo::demo(&options),
        Command::Keys(options) => keys::keys(&options),
        Command::Schema => {
            schema::schema();
            Ok(())
        }
        Command::HashPassword => password::hash_password(),
        Command::Version => {
            output::line(&format!("gateward {}", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "gateward", &mut text);
            output::bytes(&text);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(No) => ExitCode::from(NO),
    }
}

/// The answer is no, and why was said already.
pub(crate) struct No;
