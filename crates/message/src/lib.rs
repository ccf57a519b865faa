//! The version-neutral HTTP message: heads, headers, the canonical URI, hop-by-hop rules, faults and replies.
