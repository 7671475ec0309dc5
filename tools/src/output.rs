//! What is printed.
//!
//! *Owns*: standard output, text or JSON, and the progress bar on standard error. *Promises*: one line a
//! fact; what comes from the log cannot send control characters to a terminal. *Assumes*: whoever closes the
//! pipe has seen enough. *Never*: decides what is worth telling.

use std::collections::VecDeque;
use std::io::{BufWriter, ErrorKind, IsTerminal, Stdout, Write};

use indicatif::{ProgressBar, ProgressStyle};
use ringpost_engine::log::scan::{Damage, Loss};
use serde_json::{Value, json};

pub use ringpost::log::moment;

use crate::data::Shard;

/// See the module's head.
pub struct Output {
    json: bool,
    out: BufWriter<Stdout>,
    /// While lines are held back: how many at most, and the last ones.
    held: Option<(usize, VecDeque<String>)>,
}

impl Output {
    /// Text, or one JSON object a line.
    pub fn new(json: bool) -> Output {
        Output { json, out: BufWriter::new(std::io::stdout()), held: None }
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A fact: an object for machines, a line for people.
    pub fn line(&mut self, object: &Value, text: impl FnOnce() -> String) {
        let line = if self.json { object.to_string() } else { text() };
        match &mut self.held {
            None => {
                self.raw(line.as_bytes());
                self.raw(b"\n");
            }
            Some((0, _)) => {}
            Some((keep, lines)) => {
                if lines.len() == *keep {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
        }
    }

    /// Holds lines back, but for the last so many of them.
    pub fn hold(&mut self, keep: usize) {
        self.held = Some((keep, VecDeque::new()));
    }

    /// Prints what is held back, and from now on everything at once.
    pub fn release(&mut self) {
        for line in self.held.take().map(|(_, lines)| lines).unwrap_or_default() {
            self.raw(line.as_bytes());
            self.raw(b"\n");
        }
    }

    /// A line that only people get.
    pub fn heading(&mut self, text: &str) {
        if !self.json {
            self.raw(text.as_bytes());
            self.raw(b"\n");
        }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        let written = self.out.write_all(bytes);
        end_on(written);
    }

    /// Lets everything out.
    pub fn flush(&mut self) {
        let flushed = self.out.flush();
        end_on(flushed);
    }

    /// Something in the log is damaged.
    pub fn damage(&mut self, shard: &Shard, damage: &Damage) {
        let Damage { segment, offset, len, what, loss } = damage;
        let (lost, accounts) = match loss {
            Loss::Nothing => ("nothing is lost".to_owned(), json!([])),
            Loss::Record(account) => (format!("one record of account {account} is lost"), json!([account.0])),
            Loss::Batches { count, accounts: Some(accounts) } => {
                let ids: Vec<u64> = accounts.iter().map(|account| account.0).collect();
                (format!("{count} batches are lost, with records of accounts {ids:?}"), json!(ids))
            }
            Loss::Batches { count, accounts: None } => {
                (format!("{count} batches are lost, perhaps with records of any account"), Value::Null)
            }
        };
        let object = json!({
            "type": "damage", "shard": number(shard), "segment": segment.0, "offset": offset, "bytes": len,
            "what": what, "loss": lost, "accounts": accounts,
        });
        self.line(&object, || {
            format!(
                "DAMAGE {} segment {segment} byte {offset} (up to {len} bytes): {what}; {lost}",
                name(shard)
            )
        });
    }

    /// Something else is wrong that has a place in the log.
    pub fn fault(&mut self, shard: &Shard, segment: u64, offset: u64, what: &str) {
        let object = json!({
            "type": "damage", "shard": number(shard), "segment": segment, "offset": offset, "what": what,
        });
        self.line(&object, || format!("DAMAGE {} segment {segment} byte {offset}: {what}", name(shard)));
    }

    /// A whole shard cannot be read.
    pub fn unreadable(&mut self, shard: &Shard, why: &str) {
        let object = json!({"type": "unreadable", "shard": number(shard), "what": why});
        self.line(&object, || format!("UNREADABLE {}: {}", name(shard), plain(why)));
    }
}

/// A closed pipe ends the program quietly, as it ends other filters; a full disk ends it loudly.
fn end_on(result: std::io::Result<()>) {
    match result {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("ringpost-log: standard output: {error}");
            std::process::exit(1);
        }
    }
}

/// The shard's number for JSON.
pub fn number(shard: &Shard) -> Value {
    shard.id.map_or(Value::Null, |id| json!(id.0))
}

/// The shard's name for people.
pub fn name(shard: &Shard) -> String {
    shard.id.map_or_else(|| shard.folder.display().to_string(), |id| format!("shard {id}"))
}

/// A bar that counts bytes on standard error; hidden unless a person watches and nothing else is printed
/// there.
pub fn progress(bytes: u64, doing: &'static str, prints_lines: bool) -> ProgressBar {
    if !std::io::stderr().is_terminal() || (prints_lines && std::io::stdout().is_terminal()) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_message(doing);
    bar
}

/// A bar that counts things on standard error; hidden unless a person watches.
pub fn count_bar(things: u64, doing: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(things);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(doing);
    bar
}

/// Text from the log, safe for a terminal.
pub fn plain(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_the_log_reaches_a_terminal_as_control() {
        assert_eq!(plain("a\u{1b}[2Jb\r\u{9b}"), "a\\u{1b}[2Jb\\u{d}\\u{9b}");
    }
}
