//! Why there is no decision, and how the errors of the library are read.
//!
//! Texts are for those who run the gateway, say what to do, and hold no secrets: nothing that a server says is
//! repeated but the code of its error, and a key of our own. Entry point: [`Trouble`].

use std::error::Error;
use std::io::ErrorKind;
use std::{fmt, io};

use redis::RedisError;

/// Why there is no decision. Whoever has asked says what happens then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no connection now; [`crate::Store::status`] tells why. Told at once, nothing is tried.
    Down,
    /// Too many decisions are under way.
    Busy,
    /// It cannot be decided whatever the server says; the text tells why.
    Ask(&'static str),
    /// No answer in time. It may have been charged.
    Timeout,
    /// The name of a server has no address.
    Resolve,
    /// No connection.
    Connect(ErrorKind),
    /// The server is not believed, or not understood in the handshake.
    Tls(String),
    /// The connection was closed.
    Closed,
    /// The server takes neither user nor password, or wants some.
    Password,
    /// The user may not do what is needed.
    Denied,
    /// The server has no database of this number.
    Database,
    /// The server is a replica.
    ReadOnly,
    /// The server still reads its data.
    Loading,
    /// The server has no memory left.
    Memory,
    /// The server takes no changes, because it cannot save them or has too few replicas.
    Unsaved,
    /// The server is busy with a script of somebody else.
    Script,
    /// The cluster has nobody for the key, or moves it.
    Cluster,
    /// The server is one of a cluster, and does not keep the key.
    Moved,
    /// The server is none of a cluster.
    NoCluster,
    /// The server is no sentinel.
    NoSentinel,
    /// No sentinel knows a master of this name.
    NoMaster,
    /// The key holds something that the gateway has not written.
    Foreign(Box<str>),
    /// The period of a quota ended more than two hours ago, by the clock of the server.
    PeriodOver,
    /// The server answers with another error; its code.
    Error(Box<str>),
    /// The answer cannot be understood.
    Answer,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trouble::Down => "there is no connection to the store",
            Trouble::Busy => "too many decisions of the store are under way",
            Trouble::Ask(why) => why,
            Trouble::Timeout => "the store has not answered in time",
            Trouble::Resolve => "the name of the store cannot be resolved",
            Trouble::Connect(kind) => return write!(f, "the store cannot be reached: {kind}"),
            Trouble::Tls(why) => return write!(f, "no TLS with the store: {why}"),
            Trouble::Closed => "the store has closed the connection",
            Trouble::Password => {
                "the store refuses user and password, or wants some: compare the URL with its `requirepass` or ACL"
            }
            Trouble::Denied => {
                "the user may not do what is needed: allow it EVAL, EVALSHA, TIME, GET, SET and DEL on the keys \
                 `gateward:*`"
            }
            Trouble::Database => "the store has no database of the number that the URL ends with",
            Trouble::ReadOnly => "the store is a replica: name the master, or ask sentinels for it",
            Trouble::Loading => "the store is still reading its data",
            Trouble::Memory => {
                "the store has no memory left: raise its `maxmemory`, or choose another `maxmemory-policy`"
            }
            Trouble::Unsaved => {
                "the store takes no changes, because it cannot save them or has too few replicas: its log says why"
            }
            Trouble::Script => "the store is busy with a script of somebody else",
            Trouble::Cluster => "the cluster has no master for the key: see `CLUSTER INFO`",
            Trouble::Moved => "the store is one server of a cluster: write `redis+cluster://`",
            Trouble::NoCluster => "the store is not a cluster: write `redis://`",
            Trouble::NoSentinel => {
                "the server is no sentinel: write the addresses of sentinels, or `redis://` for the server itself"
            }
            Trouble::NoMaster => "no sentinel knows a master of this name",
            Trouble::Foreign(key) => {
                return write!(
                    f,
                    "the key `{key}` holds something that was not written here: delete it, and keep other programs \
                     away from `gateward:*`"
                );
            }
            Trouble::PeriodOver => {
                "the period of the quota is over by the clock of the store: compare the clocks of both machines"
            }
            Trouble::Error(code) => return write!(f, "the store answers with the error {code}"),
            Trouble::Answer => "the answer of the store cannot be understood: is it Redis 5 or later, or Valkey?",
        })
    }
}

impl Error for Trouble {}

impl Trouble {
    /// Whether it is about the connection or the server, and not about this one decision.
    pub(crate) fn breaks(&self) -> bool {
        !matches!(
            self,
            Trouble::Down | Trouble::Busy | Trouble::Ask(_) | Trouble::Foreign(_) | Trouble::PeriodOver
        )
    }

    /// Of the library. `None` stands for a server that does not know the script.
    pub(crate) fn of(error: &RedisError) -> Option<Trouble> {
        if error.kind() == redis::ErrorKind::AuthenticationFailed {
            return Some(Trouble::Password);
        }
        let Some(code) = error.code() else { return Some(Trouble::of_connection(error)) };
        let detail = error.detail().unwrap_or_default();
        Some(match code {
            "NOSCRIPT" => return None,
            "NOAUTH" | "WRONGPASS" => Trouble::Password,
            "NOPERM" => Trouble::Denied,
            "READONLY" => Trouble::ReadOnly,
            "LOADING" => Trouble::Loading,
            "OOM" => Trouble::Memory,
            "MISCONF" | "NOREPLICAS" => Trouble::Unsaved,
            "BUSY" => Trouble::Script,
            "MOVED" | "ASK" | "CROSSSLOT" => Trouble::Moved,
            "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" => Trouble::Cluster,
            "GWFOREIGN" => Trouble::Foreign(printable(detail)),
            "GWPERIOD" => Trouble::PeriodOver,
            // Servers before 6 have no codes for it, and later ones look at the length of a command first.
            "ERR"
                if ["AUTH", "invalid password", "unauthenticated"]
                    .iter()
                    .any(|word| detail.contains(word)) =>
            {
                Trouble::Password
            }
            // The first is what Redis says up to 7.0, the other one later versions and Valkey.
            "ERR"
                if ["user executing the script can't run", "ACL failure in script"]
                    .iter()
                    .any(|words| detail.contains(words)) =>
            {
                Trouble::Denied
            }
            "ERR" if detail.contains("cluster support disabled") => Trouble::NoCluster,
            "ERR"
                if detail.contains("unknown command") && detail.to_ascii_uppercase().contains("SENTINEL") =>
            {
                Trouble::NoSentinel
            }
            "ERR" if detail.contains("DB index") => Trouble::Database,
            // Errors of calls inside the script of servers before 7 carry the code in their text.
            "ERR" if detail.contains("-READONLY") => Trouble::ReadOnly,
            "ERR" if detail.contains("-OOM") => Trouble::Memory,
            "ERR" if detail.contains("-MISCONF") => Trouble::Unsaved,
            code => Trouble::Error(printable(code)),
        })
    }

    fn of_connection(error: &RedisError) -> Trouble {
        if error.is_timeout() {
            return Trouble::Timeout;
        }
        if error.is_connection_dropped() {
            return if error.is_connection_refusal() {
                Trouble::Connect(ErrorKind::ConnectionRefused)
            } else {
                Trouble::Closed
            };
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Trouble::of_io(error);
            }
            cause = error.source();
        }
        match error.kind() {
            redis::ErrorKind::Io => Trouble::Closed,
            redis::ErrorKind::ClusterConnectionNotFound => Trouble::Cluster,
            _ => Trouble::Answer,
        }
    }

    /// Of connecting, or of a handshake.
    pub(crate) fn of_io(error: &io::Error) -> Trouble {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            // Here the keys that it names stand beside the URL.
            Some(error) => Trouble::Tls(tls::explain_service(error).replace("`tls.", "`")),
            None => Trouble::Connect(error.kind()),
        }
    }
}

/// What may be shown of a text that came from outside.
fn printable(text: &str) -> Box<str> {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(200).collect()
}

#[cfg(test)]
mod tests {
    use redis::{RedisError, Value};

    use super::Trouble;

    fn of(line: &str) -> Option<Trouble> {
        let said = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let Value::ServerError(error) = said else { panic!("{said:?} is no error") };
        Trouble::of(&RedisError::from(error))
    }

    #[test]
    fn servers_say_the_same_in_many_ways() {
        let said = [
            ("NOPERM User gate has no permissions to run the 'set' command", Trouble::Denied),
            (
                "ERR The user executing the script can't run this command or subcommand script: x",
                Trouble::Denied,
            ),
            (
                "ERR ACL failure in script: User gate has no permissions to run the 'set' command",
                Trouble::Denied,
            ),
            ("ERR ACL failure in script: No permissions to access a key script: x", Trouble::Denied),
            ("WRONGPASS invalid username-password pair or user is disabled.", Trouble::Password),
            ("ERR invalid password", Trouble::Password),
            ("ERR DB index is out of range", Trouble::Database),
            ("READONLY You can't write against a read only replica.", Trouble::ReadOnly),
            (
                "ERR Error running script: -READONLY You can't write against a read only replica.",
                Trouble::ReadOnly,
            ),
            ("OOM command not allowed when used memory > 'maxmemory'.", Trouble::Memory),
            ("ERR This instance has cluster support disabled", Trouble::NoCluster),
            ("ERR unknown command 'SENTINEL', with args beginning with: 'get-master'", Trouble::NoSentinel),
            ("ERR unknown command `sentinel`, with args beginning with: ", Trouble::NoSentinel),
            ("ERR something else", Trouble::Error("ERR".into())),
        ];
        for (line, trouble) in said {
            assert_eq!(of(line), Some(trouble), "{line}");
        }
        assert_eq!(of("NOSCRIPT No matching script."), None);
    }
}
