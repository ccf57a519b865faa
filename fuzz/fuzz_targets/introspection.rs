//! What a server says of a token: only `true` is active, nothing is taken from what is not, and nothing is said twice.

#![no_main]

use authority::Trouble;
use authority::introspection::{Introspected, parse};
use fuzz::Members;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let parsed = parse(bytes);
    let object = serde_json::from_slice::<Members>(bytes).ok().and_then(Members::unique);
    let Some(claims) = object.filter(|object| object.get("active").is_some_and(Value::is_boolean)) else {
        assert!(matches!(parsed, Err(Trouble::Malformed(_))));
        return;
    };
    if claims["active"] == false {
        assert_eq!(parsed, Ok(Introspected { active: false, claims: Default::default(), exp: None }));
        return;
    }
    match claims.get("exp").map(Value::as_f64) {
        Some(None) => assert!(matches!(parsed, Err(Trouble::Malformed(_)))),
        // A fraction counts for nothing, and what lies before 1970 has ended then.
        exp => {
            let parsed = parsed.unwrap();
            assert!(parsed.active && parsed.claims == claims);
            assert_eq!(parsed.exp.is_some(), exp.is_some());
            for (parsed, exp) in parsed.exp.into_iter().zip(exp.flatten()) {
                assert!(parsed as f64 <= exp.max(0.0) && exp < parsed as f64 + 1.0 || exp >= 9e15);
            }
        }
    }
});
