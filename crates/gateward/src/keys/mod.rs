//! `gateward keys`: API keys of a gateway that runs.
//!
//! They belong to that gateway, and are asked for at its admin listener. What it answers is printed here for people, or as
//! it is for programs. Entry point: [`keys()`].

mod client;
mod shown;

use serde_json::{Value, json};

use crate::arguments::{KeyId, KeysCommand, KeysOptions};
use crate::{No, output};
use client::{Client, encoded};

/// How many keys are asked for at a time.
const PAGE: usize = 1_000;

/// Does what is asked for.
pub(crate) fn keys(options: &KeysOptions) -> Result<(), No> {
    let done = Client::find(options).and_then(|client| run(&client, options));
    done.map_err(|why| {
        output::note(&why);
        No
    })
}

fn run(client: &Client, options: &KeysOptions) -> Result<(), String> {
    let one = |id: &KeyId| format!("/keys/{id}");
    let order =
        |id: &KeyId, what: &str, body: &Value| client.ask("POST", &format!("/keys/{id}/{what}"), body);
    let nothing = Value::Null;
    let (key, what) = match &options.command {
        KeysCommand::List { consumer } => return list(client, consumer.as_deref(), options.json),
        KeysCommand::Delete { id } => {
            client.ask("DELETE", &one(id), &nothing)?;
            if !options.json {
                output::line(&format!("Key {id} is deleted."));
            }
            return Ok(());
        }
        KeysCommand::Create { consumer, name, expires } => {
            let wanted = json!({ "consumer": consumer, "name": name, "expires": expires });
            (client.ask("POST", "/keys", &wanted)?, "is made")
        }
        KeysCommand::Show { id } => {
            let key = client.ask("GET", &one(id), &nothing)?;
            let text = if options.json { format!("{key:#}") } else { shown::whole(&key) };
            output::line(text.trim_end());
            return Ok(());
        }
        KeysCommand::Rotate { id, grace } => {
            (order(id, "rotate", &json!({ "grace": grace }))?, "has another secret")
        }
        KeysCommand::Disable { id } => (order(id, "disable", &nothing)?, "is switched off"),
        KeysCommand::Enable { id } => (order(id, "enable", &nothing)?, "is switched on"),
        KeysCommand::Expire { id, at } => (order(id, "expire", &json!({ "at": at }))?, "has another end"),
    };
    output::line(&if options.json { format!("{key:#}") } else { shown::change(&key, what) });
    Ok(())
}

/// All keys, page by page.
fn list(client: &Client, consumer: Option<&str>, is_json: bool) -> Result<(), String> {
    let of = consumer.map(|name| format!("&consumer={}", encoded(name))).unwrap_or_default();
    let mut all: Vec<Value> = Vec::new();
    let mut after = String::new();
    loop {
        let mut page = client.ask("GET", &format!("/keys?limit={PAGE}{of}{after}"), &Value::Null)?;
        let Some(keys) = page.get_mut("keys").and_then(Value::as_array_mut) else {
            return Err("this is no list of keys: is it a Gateward that answers there?".to_owned());
        };
        all.append(keys);
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={}", encoded(next)),
            None => break,
        }
    }
    if is_json {
        output::line(&format!("{:#}", json!({ "keys": all })));
    } else {
        output::line(shown::table(all, consumer).trim_end());
    }
    Ok(())
}
