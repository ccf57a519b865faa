//! What can be typed. The doc comments are the help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::explain::ask;

/// An API gateway: one binary, one file, one door in front of your services.
#[derive(Parser)]
#[command(name = "gateward", version, max_term_width = 100)]
#[command(after_help = "\
Begin here:
  gateward demo                 see it work: three sample services behind a gateway
  gateward check                is ./gateward.yaml right? every mistake at once
  gateward run                  serve ./gateward.yaml
  gateward explain URL          what becomes of a request, and why?

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
    /// it listens on, what it serves, and where the admin listener is. SIGTERM or Ctrl-C stops
    /// accepting, lets requests finish (`shutdown.drain`, 30 s by default) and ends with code 0; a
    /// second signal ends it at once. When a file of the configuration changes, or at SIGHUP, the
    /// configuration is read again; one with a mistake is reported, and the one before stays in use.
    /// SIGHUP and SIGUSR1 open the access log anew.
    #[command(after_help = "\
Examples:
  gateward run                       serve ./gateward.yaml
  gateward run -c /etc/gateward      serve every *.yaml file of a folder
  gateward run -c api.yaml --workers 2")]
    Run(RunOptions),

    /// Check a configuration, and report every mistake at once
    ///
    /// Each diagnostic has a code, a place, and what to do. Ends with 0 if the configuration can be
    /// served (warnings allowed), with 1 if it cannot. As JSON it is one object with `ok`, `errors`, `warnings`
    /// and `diagnostics`.
    #[command(after_help = "\
Examples:
  gateward check
  gateward check -c api.yaml --format json      for editors and CI
  gateward check --deny-warnings                warnings count as errors
  gateward check --exposure                     who can reach which route, and through what?")]
    Check(CheckOptions),

    /// Explain what becomes of a request, and why
    ///
    /// Sends nothing: it runs the code that serves requests over a request that you write down. Says which route
    /// takes it and why others do not, the policies in order and what each does, what the service gets, and which
    /// limits and timeouts hold. Ends with 0 if the request gets through, with 1 if it is refused or the
    /// configuration is wrong.
    #[command(after_help = "\
Examples:
  gateward explain http://api.example.com/orders/42
  gateward explain POST http://api.example.com/orders -H 'x-api-version: 2' --body 2MiB
  gateward explain /orders/42 --client 10.0.0.7 -H 'x-forwarded-for: 203.0.113.9'
  gateward explain /orders/42 --as mobile        what if the consumer `mobile` asks?
  gateward explain /orders/42 --bearer \"$TOKEN\"  whom does this token name, and what may it do?
  gateward explain /orders/42 --format json      for programs")]
    Explain(Box<ExplainOptions>),

    /// Start three sample services and a gateway in front of them
    ///
    /// Prints the configuration's place, the URLs, and five curl lines worth trying, and draws a little
    /// load so that there is something to see. Ctrl-C stops everything.
    Demo(DemoOptions),

    /// Make, list, rotate and end API keys of a running gateway
    ///
    /// Keys that are made here belong to consumers of the configuration and stand beside it: they are kept in the state
    /// folder (`state_dir`), and no configuration overwrites them. Asks the admin listener of the gateway: the one of
    /// --admin, or of the configuration, or at 127.0.0.1:9901. A token comes from GATEWARD_ADMIN_TOKEN or from the
    /// configuration. Ends with 0 if it is done, with 1 if it is refused or nobody answers.
    #[command(after_help = "\
Examples:
  gateward keys create mobile --name ci --expires 90d
  gateward keys list --consumer mobile
  gateward keys rotate k_7f3a0001020304ff --grace 24h     the old secret works for one more day
  gateward keys disable k_7f3a0001020304ff                from the next request on
  gateward keys create mobile --json | jq -r .secret      for programs")]
    Keys(KeysOptions),

    /// Print the configuration language as JSON Schema, for editors
    ///
    /// Editors with a YAML language server complete and check while you type when the first line of the
    /// file names the schema: `# yaml-language-server: $schema=./gateward.schema.json`
    #[command(after_help = "\
Example:
  gateward schema > gateward.schema.json")]
    Schema,

    /// Hash a password for `basic`
    ///
    /// Asks for the password, or reads a line of standard input, and prints its hash (argon2id) for `password` of a
    /// consumer.
    #[command(after_help = "\
Examples:
  gateward hash-password
  printf %s \"$PASSWORD\" | gateward hash-password")]
    HashPassword,

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

    /// Where those who run the gateway are answered, in place of what the configuration says: an address, or `off`
    #[arg(long, value_name = "ADDRESS|off", env = "GATEWARD_ADMIN")]
    pub(crate) admin: Option<AdminAddress>,
}

/// Where the admin listener is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AdminAddress {
    Off,
    At(std::net::SocketAddr),
}

impl std::str::FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(AdminAddress::Off);
        }
        let address =
            text.parse().map_err(|_| "write an address such as 127.0.0.1:9901, or `off`".to_owned());
        address.map(AdminAddress::At)
    }
}

#[derive(Args)]
pub(crate) struct KeysOptions {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,

    /// The admin listener of the running gateway, in place of what the configuration says
    #[arg(long, global = true, value_name = "ADDRESS", env = "GATEWARD_ADMIN")]
    pub(crate) admin: Option<AdminAddress>,

    /// Print what is answered as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The configuration that says where its admin listener is, and what has to be shown there
    #[arg(
        short = 'c',
        long = "config",
        global = true,
        value_name = "FILE|DIR",
        env = "GATEWARD_CONFIG",
        default_value = "gateward.yaml"
    )]
    pub(crate) path: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key for a consumer, and show its secret once
    Create {
        /// The consumer of the configuration
        consumer: String,

        /// What people call the key
        #[arg(long, value_name = "NAME")]
        name: Option<String>,

        /// When it ends: 90d, 2027-01-31, 2027-01-31T12:00:00Z, or never (default)
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },

    /// List keys, without their secrets
    List {
        /// Those of one consumer
        #[arg(long, value_name = "CONSUMER")]
        consumer: Option<String>,
    },

    /// Show what is known of a key
    Show {
        /// The id of the key
        id: KeyId,
    },

    /// Give a key another secret, and show that once
    Rotate {
        /// The id of the key
        id: KeyId,

        /// How long secrets before it go on; 0s ends all of them now
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        grace: String,
    },

    /// Switch a key off, from the next request on
    Disable {
        /// The id of the key
        id: KeyId,
    },

    /// Switch a key on again
    Enable {
        /// The id of the key
        id: KeyId,
    },

    /// Say when a key ends
    Expire {
        /// The id of the key
        id: KeyId,

        /// When: 90d, 2027-01-31, 2027-01-31T12:00:00Z, or never (default: now)
        #[arg(long, value_name = "TIME", default_value = "0s", hide_default_value = true)]
        at: String,
    },

    /// Remove a key for good
    Delete {
        /// The id of the key
        id: KeyId,
    },
}

/// The id of a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyId(keys::Id);

impl std::str::FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        keys::Id::parse(text).map(KeyId).ok_or("an id is `k_` and 16 digits: `gateward keys list` shows them")
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
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

    /// Say for every route who can reach it, and what else can refuse them
    #[arg(long)]
    pub(crate) exposure: bool,
}

#[derive(Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct ExplainOptions {
    /// The method (default: GET)
    #[arg(value_name = "METHOD", value_parser = ask::method)]
    pub(crate) method: Option<String>,

    /// A URL, or a path that begins with `/`
    #[arg(value_name = "URL")]
    pub(crate) url: ask::Target,

    /// A header of the request; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<ask::HeaderLine>,

    /// The request announces a body of so many bytes, such as 2MiB
    #[arg(long, value_name = "BYTES", value_parser = ask::length)]
    pub(crate) body: Option<u64>,

    /// Suppose that this consumer is calling, whatever the request shows
    #[arg(long = "as", value_name = "CONSUMER")]
    pub(crate) supposed: Option<String>,

    /// A bearer token that the request shows: short for -H 'authorization: Bearer TOKEN'
    #[arg(long, value_name = "TOKEN")]
    pub(crate) bearer: Option<String>,

    /// The address that the connection comes from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) client: std::net::IpAddr,

    /// The listener that it comes to, by address or port (default: that of the URL's port, or the first)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listener: Option<String>,

    /// Show every route, also those that do not come close
    #[arg(long)]
    pub(crate) all: bool,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: one JSON object
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
