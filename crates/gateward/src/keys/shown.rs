//! Keys, as people read them. It knows the members of what the admin listener says of a key, and nothing else. Entry
//! points: [`table`], [`whole`], [`change`].

use diagnostics::visible;
use serde_json::Value;

/// What a list has of each key, and under which head.
const COLUMNS: [(&str, &str); 8] = [
    ("ID", "id"),
    ("CONSUMER", "consumer"),
    ("NAME", "name"),
    ("STATE", "state"),
    ("BEGINS WITH", "begins_with"),
    ("CREATED", "created"),
    ("EXPIRES", "expires"),
    ("LAST SEEN", "last_seen"),
];

/// A member of a key, safe to print.
fn word(key: &Value, name: &str) -> String {
    match key.get(name) {
        Some(Value::String(text)) => visible(text).into_owned(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Keys below each other, by consumer and age: all, or those of a consumer.
pub(super) fn table(mut keys: Vec<Value>, of: Option<&str>) -> String {
    if keys.is_empty() {
        return match of.map(visible) {
            Some(of) => format!("No consumer of the name {of} has a key. `gateward keys list` shows all.\n"),
            None => "There are no keys. `gateward keys create CONSUMER` makes one.\n".to_owned(),
        };
    }
    keys.sort_by_cached_key(|key| [word(key, "consumer"), word(key, "created"), word(key, "id")]);
    let row = |key: &Value| {
        COLUMNS.map(|(_, name)| match (name, word(key, name)) {
            ("expires", end) if end.is_empty() => "never".to_owned(),
            (_, text) if text.is_empty() => "-".to_owned(),
            // Where keys are compared, days are enough.
            ("created" | "expires", moment) => moment.chars().take(10).collect(),
            (_, text) => text,
        })
    };
    let mut rows = vec![COLUMNS.map(|(head, _)| head.to_owned())];
    rows.extend(keys.iter().map(row));
    let mut widths = [0; COLUMNS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; COLUMNS.len()]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// All that is known of a key, a line for each.
pub(super) fn whole(key: &Value) -> String {
    let line = |(head, name): (&str, &str)| {
        let text = match (name, word(key, name)) {
            ("expires", end) if end.is_empty() => "never".to_owned(),
            (_, text) if text.is_empty() => "-".to_owned(),
            ("begins_with", start) => format!("{start}…"),
            ("state", state) if state == "no_consumer" => {
                "no_consumer: the configuration in use has no such consumer, so it is refused".to_owned()
            }
            (_, text) => text,
        };
        format!("{:<13} {text}\n", head.to_lowercase())
    };
    let mut text: String = COLUMNS.into_iter().map(line).collect();
    for old in key.get("old_secrets").and_then(Value::as_array).into_iter().flatten() {
        let seen = match word(old, "last_seen") {
            seen if seen.is_empty() => "not seen since the gateway was started".to_owned(),
            seen => format!("last seen {seen}"),
        };
        text.push_str(&format!("{:<13} holds until {}, {seen}\n", "old secret", word(old, "until")));
    }
    text
}

/// What has become of a key, with its secret if it has a new one.
pub(super) fn change(key: &Value, what: &str) -> String {
    let (id, consumer) = (word(key, "id"), word(key, "consumer"));
    let end = match word(key, "expires") {
        end if end.is_empty() => "it never ends".to_owned(),
        end => format!("it ends at {end}"),
    };
    let state = match word(key, "state") {
        state if state == "active" => String::new(),
        state => format!(" It is not in use: {state}."),
    };
    let mut text = format!("Key {id} of {consumer} {what}; {end}.{state}");
    for old in key.get("old_secrets").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(&format!("\nA secret before it holds until {}.", word(old, "until")));
    }
    if let Some(secret) = key.get("secret").and_then(Value::as_str) {
        text.push_str(&format!("\nIts secret is shown once, and kept nowhere:\n\n{}\n", visible(secret)));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(id: &str, consumer: &str) -> Value {
        json!({
            "id": id, "consumer": consumer, "name": "a\u{1b}[31mé", "state": "active", "begins_with": "gw_Ab3d",
            "created": "2026-11-26T14:00:00Z", "rotated": null, "expires": null, "last_seen": null,
            "old_secrets": [{ "until": "2026-11-27T14:00:00Z", "last_seen": "2026-11-26T14:01:00Z" }],
        })
    }

    #[test]
    fn a_table_is_sorted_and_harmless() {
        let text = table(vec![key("k_2", "zoo"), key("k_1", "mobile")], None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ID   CONSUMER  NAME     STATE   BEGINS WITH  CREATED     EXPIRES  LAST SEEN");
        assert_eq!(lines[1], "k_1  mobile    a␛[31mé  active  gw_Ab3d      2026-11-26  never    -");
        assert!(lines[2].starts_with("k_2  zoo ") && lines.len() == 3);
        assert!(table(Vec::new(), None).contains("gateward keys create"));
        assert!(table(Vec::new(), Some("nope")).contains("of the name nope has a key"));
    }

    #[test]
    fn a_secret_stands_on_a_line_of_its_own() {
        let mut made = key("k_1", "mobile");
        made["secret"] = "gw_secret".into();
        let text = change(&made, "is made");
        assert!(text.starts_with("Key k_1 of mobile is made; it never ends.\n"), "{text}");
        assert!(text.contains("shown once") && text.lines().any(|line| line == "gw_secret"), "{text}");
        assert!(text.contains("holds until 2026-11-27T14:00:00Z"), "{text}");
        let whole = whole(&key("k_1", "mobile"));
        assert!(whole.contains("old secret    holds until 2026-11-27T14:00:00Z, last seen"), "{whole}");
    }
}
