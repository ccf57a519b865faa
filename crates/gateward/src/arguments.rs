//! What can be typed. The doc comments are the help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// An API gateway: one binary, one file, one door in front of your services.
#[derive(Parser)]
#[command(name = "gateward", version, max_term_width = 100)]
#[command(after_help = "\
Begin here:
  gateward demo                 see it work: three sample services behind a gateway
  gateward check                is ./gateward.yaml right? every mistake at once
  gateward run                  serve ./gateward.yaml

Exit codes: 0 fine, 1 the answer is no, 2 wrong usage.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve a configuration until SIGTERM or Ctrl-C
    ///
    /// Checks the configuration first, and does not start if it has an error. Says in three lines what
    /// it listens on, what it serves, and where the admin page will be. SIGTERM or Ctrl-C stops
    /// accepting, lets requests finish (`shutdown.drain`, 30 s by default) and ends with code 0; a
    /// second signal ends it at once.
    #[command(after_help = "\
Examples:
  gateward run                       serve ./gateward.yaml
  gateward run -c /etc/gateward      serve every *.yaml file of a folder
  gateward run -c api.yaml --workers 2")]
    Run(RunOptions),

    /// Check a configuration, and report every mistake at once
    ///
    /// Each diagnostic has a code, a place, and what to do. Ends with 0 if the configuration can be
    /// served (warnings allowed), with 1 if it cannot.
    #[command(after_help = "\
Examples:
  gateward check
  gateward check -c api.yaml --format json      for editors and CI
  gateward check --deny-warnings                warnings count as errors")]
    Check(CheckOptions),

    /// Start three sample services and a gateway in front of them
    ///
    /// Prints the configuration's place, the URLs, and five curl lines worth trying, and draws a little
    /// load so that there is something to see. Ctrl-C stops everything.
    Demo(DemoOptions),

    /// Print the configuration language as JSON Schema, for editors
    ///
    /// Editors with a YAML language server complete and check while you type when the first line of the
    /// file names the schema: `# yaml-language-server: $schema=./gateward.schema.json`
    #[command(after_help = "\
Example:
  gateward schema > gateward.schema.json")]
    Schema,

    /// Print the version
    Version,

    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  gateward completions bash > /etc/bash_completion.d/gateward
  gateward completions zsh > \"${fpath[1]}/_gateward\"
  gateward completions fish > ~/.config/fish/completions/gateward.fish")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where the configuration is.
#[derive(Args)]
pub(crate) struct Source {
    /// A file, or a folder of which every *.yaml and *.yml file is read in order of name
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE|DIR",
        env = "GATEWARD_CONFIG",
        default_value = "gateward.yaml"
    )]
    pub(crate) path: PathBuf,
}

#[derive(Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) source: Source,

    /// How many workers to start, in place of what the configuration says (default: one per core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
}

#[derive(Args)]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    pub(crate) source: Source,

    /// How to print the diagnostics
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Warnings count as errors
    #[arg(long)]
    pub(crate) deny_warnings: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: one object with `ok`, `errors`, `warnings` and `diagnostics`
    Json,
}

#[derive(Args)]
pub(crate) struct DemoOptions {
    /// The gateway's port; the sample services take the three ports after it (default: free ones)
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u16).range(0..=65532))]
    pub(crate) port: u16,

    /// Draw no load
    #[arg(long)]
    pub(crate) quiet: bool,

    /// Only print the demo's configuration
    #[arg(long)]
    pub(crate) print_config: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
