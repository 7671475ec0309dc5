//! From TOML to values and back.
//!
//! *Owns*: checking a file against [`super::keys::KEYS`]. *Promises*: every mistake is one line with file,
//! line number, what is there and what was expected; all mistakes are told at once. *Assumes*: dotted names
//! of at most two levels.
//! *Never*: accepts a key it does not know.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use toml_edit::{Document, Item, TableLike};

use super::keys::{KEYS, Key, Kind};

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number in the unit of its name.
    Number(u64),
    /// On or off.
    Switch(bool),
    /// A text or a choice.
    Text(String),
    /// Addresses.
    Addresses(Vec<SocketAddr>),
}

/// A value for every key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    by_name: BTreeMap<&'static str, Value>,
}

impl Values {
    /// Every key's default.
    pub fn defaults() -> Values {
        let mut by_name = BTreeMap::new();
        for key in KEYS {
            let item: Item = key.default.parse::<toml_edit::Value>().map(Item::Value).unwrap_or_default();
            // The table of keys is tested to hold only good defaults, so this cannot fail in a released
            // build.
            let value = check(key, &item).unwrap_or_else(|why| panic!("default of {}: {why}", key.name));
            by_name.insert(key.name, value);
        }
        Values { by_name }
    }

    /// Every key with its value, in the order of the table of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Key, &Value)> {
        KEYS.iter().filter_map(|key| self.by_name.get(key.name).map(|value| (key, value)))
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        match self.by_name.get(name) {
            Some(Value::Number(number)) => *number,
            other => panic!("{name} is no number but {other:?}"),
        }
    }

    pub(super) fn switch(&self, name: &str) -> bool {
        match self.by_name.get(name) {
            Some(Value::Switch(on)) => *on,
            other => panic!("{name} is no switch but {other:?}"),
        }
    }

    pub(super) fn text(&self, name: &str) -> &str {
        match self.by_name.get(name) {
            Some(Value::Text(text)) => text,
            other => panic!("{name} is no text but {other:?}"),
        }
    }

    pub(super) fn addresses(&self, name: &str) -> &[SocketAddr] {
        match self.by_name.get(name) {
            Some(Value::Addresses(addresses)) => addresses,
            other => panic!("{name} is no list of addresses but {other:?}"),
        }
    }
}

/// Checks a file's text; the error holds one line per mistake.
pub fn parse(file: &str, text: &str) -> Result<Values, String> {
    let line_at =
        |offset: usize| text.as_bytes()[..offset.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1;
    let document = Document::parse(text).map_err(|error| {
        let line = line_at(error.span().map_or(0, |span| span.start));
        format!("{file}:{line}: not TOML: {}", error.message().lines().next().unwrap_or("syntax error"))
    })?;
    let mut values = Values::defaults();
    let mut mistakes = Vec::new();
    walk(document.as_table(), "", &mut |name, start, item| {
        let line = line_at(start);
        match KEYS.iter().find(|key| key.name == name) {
            None => mistakes.push(format!("{file}:{line}: unknown key {name}{}", hint(name))),
            Some(key) => match check(key, item) {
                Ok(value) => drop(values.by_name.insert(key.name, value)),
                Err(why) => mistakes.push(format!("{file}:{line}: {name}: {why}")),
            },
        }
    });
    if mistakes.is_empty() { Ok(values) } else { Err(mistakes.join("\n")) }
}

/// Calls `visit` with every leaf's dotted name and where it stands. Two levels are all there are; what lies
/// deeper is handed over as it is and refused as an unknown key or a wrong kind.
fn walk(table: &dyn TableLike, prefix: &str, visit: &mut dyn FnMut(&str, usize, &Item)) {
    for (name, item) in table.iter() {
        let full = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
        let start = table.key(name).and_then(|key| key.span()).or(item.span()).map_or(0, |span| span.start);
        match item.as_table_like() {
            Some(inner) if prefix.is_empty() => walk(inner, &full, visit),
            _ => visit(&full, start, item),
        }
    }
}

fn check(key: &Key, item: &Item) -> Result<Value, String> {
    match key.kind {
        Kind::Number { min, max } => {
            let number = item.as_integer().ok_or(format!("expected a whole number from {min} to {max}"))?;
            match u64::try_from(number) {
                Ok(number) if (min..=max).contains(&number) => Ok(Value::Number(number)),
                _ => Err(format!("{number} is out of bounds: expected {min} to {max}")),
            }
        }
        Kind::Switch => item.as_bool().map(Value::Switch).ok_or("expected true or false".to_string()),
        Kind::Text { bytes_max, empty } => {
            let text = item.as_str().ok_or("expected a text in quotes")?;
            let bad =
                text.len() > bytes_max || (text.is_empty() && !empty) || text.chars().any(char::is_control);
            if bad {
                let least = if empty { 0 } else { 1 };
                return Err(format!(
                    "expected a text of {least} to {bytes_max} octets without control characters"
                ));
            }
            Ok(Value::Text(text.to_string()))
        }
        Kind::Choice(words) => match item.as_str() {
            Some(word) if words.contains(&word) => Ok(Value::Text(word.to_string())),
            _ => Err(format!("expected one of \"{}\"", words.join("\", \""))),
        },
        Kind::Addresses => {
            let expected = "expected a list such as [\"127.0.0.1:2525\", \"[::1]:2525\"], or [] for none";
            let list = item.as_array().ok_or(expected)?;
            let parse =
                |entry: &toml_edit::Value| entry.as_str().and_then(|text| text.parse().ok()).ok_or(expected);
            Ok(Value::Addresses(list.iter().map(parse).collect::<Result<_, _>>()?))
        }
    }
}

/// The known key that looks most like an unknown one.
fn hint(name: &str) -> String {
    let nearest = KEYS.iter().map(|key| (distance(key.name, name), key.name)).min();
    match nearest {
        Some((distance, key)) if distance <= name.len() / 3 + 1 => format!("; did you mean {key}?"),
        _ => "; `ringpost config show` lists the keys".to_string(),
    }
}

/// Edit distance (Levenshtein, 1966), for hints only: names are short.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The values as a commented file that parses back to them.
pub fn render(values: &Values) -> String {
    let mut out =
        String::from("# Ringpost's configuration. Units stand last in the names; every value is bounded.\n");
    let mut section = "";
    for (key, value) in values.iter() {
        let (table, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if table != section {
            section = table;
            let _ = write!(out, "\n[{table}]");
        }
        let _ = write!(
            out,
            "\n# {}\n# {}; default {}\n{name} = {}\n",
            key.comment,
            bound(key),
            key.default,
            toml(value)
        );
    }
    out
}

fn bound(key: &Key) -> String {
    match key.kind {
        Kind::Number { min, max } => format!("{min} to {max}"),
        Kind::Switch => "true or false".to_string(),
        Kind::Text { bytes_max, .. } => format!("at most {bytes_max} octets"),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
        Kind::Addresses => "list of address:port".to_string(),
    }
}

fn toml(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Switch(on) => on.to_string(),
        Value::Text(text) => toml_edit::Value::from(text.as_str()).to_string(),
        Value::Addresses(addresses) => {
            let quoted: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
            format!("[{}]", quoted.join(", "))
        }
    }
}
