//! The texts of the generated references under `docs/reference`.
//!
//! Each comes from the declarations in the code: sections and their doc comments, codes, faults, policies, metrics.
//! Entry points: one function per page, listed in `generated.rs`.

use std::fmt::Write;

/// Every key of the configuration, and every policy.
pub(crate) fn configuration() -> String {
    let mut out = String::from(
        "# Configuration reference\n\n\
         Every key that this version has, from the declarations in the code. A tour stands in\n\
         [configuration](../configuration.md).\n\n",
    );
    out.push_str(&document::reference(&config::Config::info()));
    out
}

/// Every kind of policy: its page, then its keys.
pub(crate) fn policies() -> String {
    let mut out = String::from(
        "# Policies\n\n\
         A policy decides or changes one thing about requests and responses. It is set in `policies` of the gateway,\n\
         of a service or of a route; the nearest one of a kind wins, whole, and `off` switches it off. Policies run in\n\
         the order of their stages, whatever the order in the file.\n\n\
         | policy | stage | may refuse a request |\n|---|---|---|\n",
    );
    let mut kinds: Vec<&policy::Kind> = policy::KINDS.iter().collect();
    kinds.sort_by_key(|kind| kind.stage);
    for kind in &kinds {
        let refuses = if kind.can_refuse { "yes" } else { "no" };
        let _ = writeln!(out, "| [`{0}`](#{0}) | {1} | {refuses} |", kind.name, kind.stage.as_str());
    }
    for kind in kinds {
        // One level deeper: the page is part of this one.
        let _ = write!(out, "\n#{}\n", kind.doc.trim_end());
        let keys = document::reference(&(kind.section)());
        let _ = write!(out, "\n{}", keys.replace("## Raw\n", "## Keys\n").replace("## ", "### "));
    }
    let _ = write!(
        out,
        "\n## Not in this version\n\nThese are part of the language and refused until they are built:\n\n"
    );
    for (name, what) in policy::NOT_BUILT {
        let _ = writeln!(out, "- `{name}`: {what}");
    }
    out
}

/// Everything that `gateward check` can say.
pub(crate) fn diagnostics() -> String {
    let mut out = String::from(
        "# Diagnostics\n\nWhat `gateward check` can say, by code. Codes never change their meaning.\n",
    );
    for code in diagnostics::Code::all() {
        let _ = write!(
            out,
            "\n## {} {}\n\n{}\n\n{}\n",
            code.id(),
            code.name(),
            code.summary(),
            code.explanation()
        );
    }
    out
}

/// Every fault, and the reply it becomes.
pub(crate) fn faults() -> String {
    let mut out = String::from(
        "# Faults\n\nWhy a request could not be served. Each becomes a reply of `application/problem+json` (RFC 9457) with\n\
         the members `type`, `title`, `status`, `detail`, `code`, `layer`, `retryable` and `request_id`. The layer says\n\
         whose fault it is: the client's, the gateway's, or the service's.\n\n\
         | code | status | layer | retryable | detail |\n|---|---|---|---|---|\n",
    );
    for fault in message::Fault::ALL {
        let retryable = if fault.is_retryable() { "yes" } else { "no" };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {retryable} | {} |",
            fault.code(),
            fault.status(),
            fault.blame().as_str(),
            fault.detail()
        );
    }
    out.push_str(
        "\n`client-gone` and `send-timeout` are never sent: nobody is there to read them.\n\n\
         ## What policies say\n\n\
         Refusals of [policies](policies.md) have the same form. Those of limits:\n\n\
         | code | status | retryable | the request |\n|---|---|---|---|\n\
         | `rate-limited` | 429 | yes, after `Retry-After` | goes over a `rate_limit`, or that of a plan |\n\
         | `quota-exceeded` | 429 | yes, after `Retry-After` | goes over a `quota`, or that of a plan |\n\
         | `too-many-at-once` | 429 | yes | comes while the caller has as many under way as `concurrency` allows |\n\
         | `too-many-at-once` | 503 | yes | comes while all together have as many under way (`by: route`) |\n\
         | `store-unavailable` | 503 | yes | would be counted by a [store](../shared-state.md) that cannot be asked, with `on_store_failure: closed` |\n\n\
         Those of `validate` and `json_threat` stand in [validation](../validation.md#the-answer), those about callers in\n\
         [identity](../identity.md).\n",
    );
    out
}

/// Every family of metrics.
pub(crate) fn metrics() -> String {
    let mut out = String::from(
        "# Metrics\n\nWhat `/metrics` of the [admin listener](../operations.md#the-admin-listener) says, in the Prometheus text\n\
         format 0.0.4. How to use it stands in [operations](../operations.md#metrics).\n\n\
         | name | kind | labels | what it says |\n|---|---|---|---|\n",
    );
    for family in telemetry::Metrics::FAMILIES {
        let labels = match family.labels {
            "" => String::new(),
            labels => format!("`{}`", labels.replace(", ", "`, `")),
        };
        let _ = writeln!(out, "| `{}` | {} | {labels} | {} |", family.name, family.kind, family.help);
    }
    out.push_str(
        "\nTimes are in seconds, sizes in bytes. A histogram has the series `…_bucket`, `…_sum` and `…_count`; its buckets\n\
         have the label `le` besides.\n\n\
         Label values are names of the configuration or words of a closed list, never anything that a client sends:\n\n\
         - `route` and `service` are names of the configuration, `listener` is an address.\n\
         - `method` is `GET`, `HEAD`, `POST`, `PUT`, `DELETE`, `PATCH`, `OPTIONS`, or `other`, also where no method could\n  \
         be read. `status` is `1xx` to `5xx`.\n\
         - `protocol` is `HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`. `result` of handshakes is one of the words in\n  \
         [TLS](../tls.md#when-a-handshake-fails). `reason` is `reset_flood` (one request after another was given up),\n  \
         `frame_flood` (frames about nothing), `half_head` (a head that did not end) or `excess` (more streams in error,\n  \
         or pieces of heads, than a connection may have).\n\
         - `fault` and `layer` are those of the [list of faults](faults.md).\n\n\
         Numbers begin at 0 when the process starts, and stay across reloads. Those of a route, service or listener that\n\
         has left the configuration are gone.\n",
    );
    out
}
