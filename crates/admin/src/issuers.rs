//! `/issuers`: whose tokens are believed, which keys they have, and how fetching these goes.

use control::View;
use serde_json::{Value, json};

/// The page.
pub(crate) fn page(view: &View) -> Value {
    let issuers = view.issuers().into_iter().map(|issuer| {
        json!({
            "issuer": issuer.name,
            "keys": issuer.keys,
            "last_success": issuer.status.last_success,
            "failures": issuer.status.failures,
            "failing_since": issuer.status.failing_since,
            "last_error": issuer.status.last_error,
            "next": issuer.status.next,
        })
    });
    json!({ "issuers": issuers.collect::<Vec<_>>() })
}
