//! Everything that can be said about a configuration, in one table.
//!
//! The identifiers are an interface: people search for them and tools filter by them. A code is added, never
//! given another meaning. Entry points: [`Code`], [`Code::all`].

/// Makes [`Code`] and its functions from the one table below.
macro_rules! codes {
    ($($variant:ident = $id:literal, $name:literal, $summary:literal, $explanation:literal;)+) => {
        /// One of the known things that can be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $summary] $variant,)+
        }

        impl Code {
            /// Every code, in the order of the identifiers.
            pub fn all() -> &'static [Self] {
                &[$(Self::$variant),+]
            }

            /// The stable identifier, such as `GW0101`.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id),+ }
            }

            /// The stable name, such as `unknown-key`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it is, in one line.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary),+ }
            }

            /// What it means and what to do, in a few sentences.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation),+ }
            }
        }
    };
}

codes! {
    // ── GW00xx: the text ──
    YamlSyntax = "GW0001", "yaml-syntax", "The file is not valid YAML.",
        "The reader lost the structure of the file at this place. The usual causes are indentation that does not \
         line up, a tab in the indentation, a bracket or quote that is not closed, and a value with `: ` or ` #` in \
         it that is not in quotes. Nothing behind this place was looked at.";
    YamlFeature = "GW0002", "yaml-feature", "This feature of YAML is not part of the language.",
        "Anchors, aliases, tags, merge keys, several documents in one file, and keys that are not text are refused: \
         what is written in a file is what holds, without a second step of reading. Write the value out, or move \
         it to `policies` at the top, which hold for every route.";
    DuplicateKey = "GW0003", "duplicate-key", "A key is given twice.",
        "Both places say something, and only one of them could win. Remove one, or join the two.";
    TooLarge = "GW0004", "too-large", "The configuration exceeds a limit.",
        "Files, nesting and the number of values are bounded, so that a broken generator cannot use up the memory. \
         The message names the limit. Split the file, or have a look at what made it so large.";
    UnreadableFile = "GW0005", "unreadable-file", "The configuration file cannot be read.",
        "The file does not exist, may not be read, or is not UTF-8 text. Name another one with `-c`, or create \
         `gateward.yaml` in the current folder.";

    // ── GW01xx: keys and types ──
    UnknownKey = "GW0101", "unknown-key", "A key is not part of the language at this place.",
        "Keys that mean nothing are errors, because a mistyped key would otherwise be a setting that silently does \
         not hold. Correct or remove it; the help names the nearest key, or all keys that are possible here.";
    MissingKey = "GW0102", "missing-key", "A section lacks a key that it needs.",
        "The section means nothing without this key. Add it.";
    WrongType = "GW0103", "wrong-type", "A value has another form than the key takes.",
        "A list, a section or a single value stands where another of them is needed, or a number or `true`/`false` \
         is needed and something else is there. The message says what is needed.";
    NotBuilt = "GW0104", "not-built-yet", "The key is part of the language, but this version or build does not have it.",
        "The setting is designed and its name is reserved. What runs here refuses it, so that nobody relies on a \
         protection that is not there. Remove it, or use a version or a build that has it; the message says which.";
    ConflictingKeys = "GW0105", "conflicting-keys", "Keys exclude each other.",
        "Each of them decides the same thing in another way, such as `service` and `redirect`. Keep one.";
    NothingToDo = "GW0106", "nothing-to-do", "A route does not say what to do.",
        "A route needs one of `service`, `split`, `redirect` and `respond`.";

    // ── GW02xx: values ──
    InvalidValue = "GW0201", "invalid-value", "A value is out of range, or not one of the possible ones.",
        "The message says which values are possible.";
    InvalidDuration = "GW0202", "invalid-duration", "A length of time cannot be read.",
        "Write a whole number and a unit without a space between them: `10ms`, `5s`, `1m`, `1h`, `1d`. A number \
         without a unit is refused, because seconds and milliseconds are easily taken for each other.";
    InvalidSize = "GW0203", "invalid-size", "A number of bytes cannot be read.",
        "Write a whole number and a unit: `512B`, `32KiB`, `10MiB`, `1GiB` (steps of 1024), or `KB`, `MB`, `GB` \
         (steps of 1000). A number without a unit means bytes.";
    InvalidPercent = "GW0204", "invalid-percent", "A share in percent cannot be read.",
        "Write a number from 0 to 100 and a percent sign: `20%`, `0.5%`. At most two digits may follow the point.";
    InvalidUrl = "GW0205", "invalid-url", "A URL cannot be used here.",
        "The address of an endpoint is `http://host` or `http://host:port`, nothing more. To change the path of a \
         request, use `rewrite` in the route.";
    InvalidAddress = "GW0206", "invalid-address", "An address cannot be read.",
        "An address to listen on is an IP address and a port from 0 to 65535: `0.0.0.0:8080`, or \"[::]:8080\" in \
         quotes. A network is an address and a prefix length: `10.0.0.0/8`.";
    InvalidPath = "GW0207", "invalid-path", "A path pattern is not well formed.",
        "A pattern begins with `/`. It may hold `{name}` for one segment, and end with `{name...}` or `*` for all \
         that is left. A regular expression begins with `~`.";
    InvalidRegex = "GW0208", "invalid-regex", "A regular expression cannot be used.",
        "It is not well formed, too large, or uses what cannot be matched in linear time, such as references back \
         to a group and looking around.";
    InvalidHost = "GW0209", "invalid-host", "A host name is not well formed.",
        "Write a name (`api.example.com`), an IP address, or a wildcard for the leftmost label (`\"*.example.com\"`, \
         in quotes).";
    InvalidHeader = "GW0210", "invalid-header", "A header name or value is not well formed.",
        "A name consists of letters, digits and a few signs; a value holds no line breaks or other control \
         characters. Headers that belong to a connection cannot be set.";
    InvalidMethod = "GW0211", "invalid-method", "A method is not well formed.",
        "A method is a word such as `GET` or `POST`. Upper and lower case are different.";
    InvalidCertificate = "GW0212", "invalid-certificate", "A file with certificates cannot be used.",
        "It must hold certificates in PEM, each from `-----BEGIN CERTIFICATE-----` on: that of the server first, then \
         those that lead to an authority; or lists of revoked certificates where those are named. The message says \
         what is wrong.";
    InvalidKey = "GW0213", "invalid-key", "A file with a private key cannot be used.",
        "It must hold the key of the certificate beside it, in PEM and without a passphrase. \
         `openssl pkey -in site.key -pubout` and `openssl x509 -in site.pem -noout -pubkey` print the same for a key \
         and a certificate that belong together.";

    // ── GW03xx: names ──
    UnknownService = "GW0301", "unknown-service", "A service is named that does not exist.",
        "The name must be a key of `services`, in this or in an included file.";
    UnknownPolicy = "GW0302", "unknown-policy", "A policy is named that does not exist.",
        "The keys of `policies` are the kinds of policies that this version has.";
    UnknownCapture = "GW0303", "unknown-capture", "A part of the path is used that the route does not name.",
        "`{name}` in `rewrite` and `redirect` takes what `{name}` in `path`, or `(?<name>…)` in a regular \
         expression, has matched.";
    DuplicateName = "GW0304", "duplicate-name", "A name is given twice.",
        "Names stand in logs and metrics; two things of one name could not be told apart.";
    MissingVariable = "GW0305", "missing-variable", "An environment variable is not set.",
        "`${env:NAME}` needs the variable. Set it, or give a value to use in its place: `${env:NAME:-value}`.";
    MissingFile = "GW0306", "missing-file", "A file that the configuration names cannot be read.",
        "It is the file of a `${file:…}`, a certificate or a key. The path is relative to the file that names it. The file must exist, be readable, and hold UTF-8 text of \
         at most 1 MiB.";
    InvalidReference = "GW0307", "invalid-reference", "A `${…}` is not well formed.",
        "Write `${env:NAME}`, `${env:NAME:-value}` or `${file:path}`. For a literal `${`, write `$${`.";
    IncludeNotFound = "GW0308", "include-not-found", "An included file does not exist.",
        "The path is relative to the file that holds the `include`. A pattern with `*` may match nothing only if \
         its folder exists.";
    IncludeCycle = "GW0309", "include-cycle", "A file is included more than once.",
        "Each file is read once. Remove the `include` that names it again.";

    // ── GW04xx: the whole ──
    NoListeners = "GW0401", "no-listeners", "There is no address to listen on.",
        "Add `listen: 0.0.0.0:8080`, or another address.";
    NoRoutes = "GW0402", "no-routes", "There is no route.",
        "Without a route every request is answered with 404. Add one under `routes`.";
    AddressConflict = "GW0403", "address-conflict", "Two listeners use one address.",
        "An address and port can be opened once. An address such as `0.0.0.0` includes every other one of its kind.";
    NoEndpoints = "GW0404", "no-endpoints", "A service has no endpoint that can be chosen.",
        "The list is empty: no request to it could ever be answered.";
    DuplicateEndpoint = "GW0405", "duplicate-endpoint", "An endpoint is given twice in one service.",
        "To send an endpoint a greater share, give it a `weight`.";
    AdminExposed = "GW0406", "admin-exposed", "The admin listener could be reached by others, and asks nobody who they are.",
        "It shows the configuration, the services and what they do. On an address other than a loopback one it needs \
         a `token`; `/livez` and `/readyz` are answered without it.";
    MixedEndpoints = "GW0407", "mixed-endpoints", "A service has `http` and `https` endpoints.",
        "All endpoints of a service are reached in one way: otherwise chance would decide whether a request is \
         encrypted. Make two services of it.";
    NoAuthorities = "GW0408", "no-authorities", "There is nobody who could vouch for a certificate.",
        "Certificates of `https` endpoints are verified by the authorities that the system trusts, and none were \
         found. Install them (Debian: `apt-get install ca-certificates`), or name a file with `ca`.";
    InvalidExpression = "GW0409", "invalid-expression", "A condition in CEL cannot be used.",
        "It is checked when the configuration is: names and types have to fit, what is written out (regular expressions, \
         networks) has to be valid, and what it may cost for one request is bounded. The mark points at the part.";
    NobodyKnown = "GW0410", "nobody-known", "Something depends on who is calling, and nothing says who that is.",
        "Add a policy that knows callers to the route, or further out: `api_key`, `basic`, `jwt`, `hmac`, `mtls`, \
         `introspection` or `oidc`.";
    UnknownConsumer = "GW0411", "unknown-consumer", "A consumer is named that does not exist.",
        "The name is looked for under `consumers`. Consumers are matched by their exact names.";
    DuplicateCredential = "GW0412", "duplicate-credential", "Two consumers have the same credential.",
        "Whoever shows it could be either of them. Give each consumer its own.";
    UnknownPlan = "GW0413", "unknown-plan", "A plan is named that does not exist.",
        "The name is looked for under `plans`. Plans are matched by their exact names.";

    // ── GW05xx: most likely not meant ──
    UnusedService = "GW0501", "unused-service", "No route leads to a service.",
        "The service is checked and kept, but never gets a request. Add a route, or remove the service.";
    RetryNotIdempotent = "GW0502", "retry-not-idempotent", "Requests are repeated that may have had an effect.",
        "Methods such as POST and PATCH are not idempotent: when the connection breaks, the service may have done \
         its work already, and a second attempt does it again. Keep them out of `retries.methods` unless the \
         service recognises repetitions.";
    DuplicateRoute = "GW0503", "duplicate-route", "A route can never match.",
        "An earlier route with the same match takes every request that this one could get.";
    UnusedSetting = "GW0504", "unused-setting", "A setting has no effect here.",
        "Another setting, or the version, makes this one meaningless. Remove it, so that nobody relies on it.";
    UnreachableRoute = "GW0505", "unreachable-route", "A route can never match: others take every request that it could get, or no request is like that.",
        "The example is a request that the route matches and another one takes, because it comes first by the order of \
         precedence. Give the route a higher `priority`, make the other one narrower, or remove it. Without an example, \
         no request can be what the route asks for: the message says what is impossible.";
    OverlappingRoutes = "GW0506", "overlapping-routes", "Two routes match some requests together, and each matches others alone.",
        "Neither is the more specific one, so what decides is the order of precedence, which may not be what was meant. \
         The example is a request that both match. If the outcome is right, say so with a `priority` on the route that \
         should win; if not, give it to the other one.";
    CertificateExpires = "GW0507", "certificate-expires", "A certificate, or a list of revoked ones, is not valid now or will soon not be.",
        "Clients refuse a certificate outside of its time. Put a renewed one in the place of the file: the gateway takes \
         it over without a restart and without closing a connection.";
    DuplicateCertificate = "GW0508", "duplicate-certificate", "A certificate is never shown to a client.",
        "An earlier one of the listener has the same names and a key of the same kind. Two certificates for one name \
         make sense only with different kinds of keys, such as RSA and ECDSA.";
    VerificationOff = "GW0509", "verification-off", "A service is not verified.",
        "With `insecure_skip_verify` any certificate is taken, so that anybody who can get in between reads and changes \
         everything. Name the authority of the service with `ca` instead.";
    CertificateWithoutName = "GW0510", "certificate-without-name", "A certificate names no host.",
        "Clients look at the alternative names of a certificate (SAN) only, and there is none: the name in its subject \
         counts no more.";
    ChallengeUnanswered = "GW0511", "challenge-unanswered", "The authority that proves a host gets no answer.",
        "With `http-01` it asks at port 80 without encryption. Add a plain listener, which may send all others to https, \
         or choose another challenge.";
    StoredCertificate = "GW0512", "stored-certificate", "A certificate in the state folder cannot be used.",
        "It was ordered by ACME and kept, and is not what it was. Another one is ordered, and takes its place.";
    NoCredentials = "GW0513", "no-credentials", "Nobody has a credential that this policy could recognise.",
        "Every request is refused. Give at least one consumer what the policy asks for.";
    OpenRoute = "GW0514", "open-route", "Something that is protected can be reached without protection.",
        "Another route, with less in front of it, leads to the same service or takes requests that look protected. The \
         message says which. If that is meant, say so by writing the policy with `off` on that route.";
    WeakSecret = "GW0515", "weak-secret", "A secret can be guessed.",
        "What is short, or was written by a person, is found by trying. Make it with `openssl rand -hex 32`.";
    LoginUnreachable = "GW0516", "login-unreachable", "A login cannot come to its end.",
        "The identity provider sends people back to a path that the policy `oidc` answers itself. A request for it has to \
         come to a route on which the same policy holds, and to get there without another credential.";
    QuotaForgotten = "GW0517", "quota-forgotten", "What is used up of a quota is forgotten at a restart.",
        "There is no folder to keep it in. Name one with `state_dir`: what is used up is written there once per second.";
}

impl std::fmt::Display for Code {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn identifiers_and_names_are_unique_and_sorted() {
        let ids: Vec<&str> = Code::all().iter().map(|code| code.id()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        let mut names: Vec<&str> = Code::all().iter().map(|code| code.name()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        for code in Code::all() {
            assert!(code.id().len() == 6 && code.id().starts_with("GW"), "{code}");
            assert!(code.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
            assert!(code.summary().ends_with('.') && code.explanation().ends_with('.'), "{code}");
        }
    }
}
