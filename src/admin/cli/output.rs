//! What commands print.
//!
//! *Owns*: columns, units and JSON lines. *Promises*: a reader that goes away (`| head`) ends the output
//! quietly.
//! *Assumes*: results on standard output, everything else on standard error. *Never*: decides.

use std::collections::BTreeMap;
use std::io::{BufWriter, ErrorKind, Stdout, Write};
use std::path::Path;

use serde_json::json;

use crate::admin::wire::{DamageLine, Line, ScrubLine, SlotRun};
use crate::config::{Config, Value};

fn told(result: std::io::Result<()>) -> Result<(), String> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

/// Prints one line.
pub fn say(text: &str) -> Result<(), String> {
    told(writeln!(std::io::stdout(), "{text}"))
}

/// Says that a change is durable.
pub fn done(json: bool) -> Result<(), String> {
    say(if json { "{\"done\":true}" } else { "done" })
}

/// Says that a configuration has no mistake.
pub fn good(file: &Path, json: bool) -> Result<(), String> {
    match json {
        true => say(&json!({ "file": file.display().to_string(), "good": true }).to_string()),
        false => say(&format!("{}: good", file.display())),
    }
}

/// Says that an account has a password, and which if it was generated.
pub fn password(address: &str, generated: Option<&str>, json: bool) -> Result<(), String> {
    match (json, generated) {
        (true, _) => say(&json!({ "address": address, "password": generated }).to_string()),
        (false, Some(password)) => say(&format!("{address}: password {password}")),
        (false, None) => say(&format!("{address}: done")),
    }
}

/// How one line of a bulk file went.
pub fn bulk_row(
    address: &str,
    generated: Option<&str>,
    refused: Option<&str>,
    json: bool,
) -> Result<(), String> {
    match (json, refused, generated) {
        (true, _, _) => {
            say(&json!({ "address": address, "password": generated, "refused": refused }).to_string())
        }
        (false, Some(why), _) => {
            eprintln!("{address}: {why}");
            Ok(())
        }
        (false, None, Some(password)) => say(&format!("{address},{password}")),
        (false, None, None) => Ok(()),
    }
}

/// Prints the configuration.
pub fn config(config: &Config, json: bool) -> Result<(), String> {
    if !json {
        return told(write!(std::io::stdout(), "{}", config.render()));
    }
    for (key, value) in config.values().iter() {
        let value = match value {
            Value::Number(number) => json!(number),
            Value::Switch(on) => json!(on),
            Value::Text(text) => json!(text),
            Value::Addresses(addresses) => {
                json!(addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
            }
        };
        say(&json!({ "key": key.name, "value": value, "comment": key.comment }).to_string())?;
    }
    Ok(())
}

/// Prints the lines of a listing, with a heading before the first of each kind.
pub struct Rows {
    out: BufWriter<Stdout>,
    json: bool,
    heading: &'static str,
}

impl Rows {
    /// For people, or as JSON.
    pub fn new(json: bool) -> Rows {
        Rows { out: BufWriter::new(std::io::stdout()), json, heading: "" }
    }

    /// Prints one line.
    pub fn row(&mut self, line: &Line) -> Result<(), String> {
        if self.json {
            let text = match line {
                // By name, as people ask for them: `jq .figures.messages`.
                Line::Shard { shard, figures } => {
                    let figures: BTreeMap<&str, u64> =
                        figures.iter().map(|(name, value)| (name.as_str(), *value)).collect();
                    json!({ "shard": shard, "figures": figures }).to_string()
                }
                line => serde_json::to_string(line).map_err(|error| error.to_string())?,
            };
            return told(writeln!(self.out, "{text}"));
        }
        let (heading, text) = columns(line);
        if heading != self.heading {
            self.heading = heading;
            told(writeln!(self.out, "{heading}"))?;
        }
        told(writeln!(self.out, "{text}"))
    }

    /// Everything was printed.
    pub fn end(mut self) -> Result<(), String> {
        told(self.out.flush())
    }
}

fn columns(line: &Line) -> (&'static str, String) {
    match line {
        Line::Account { address, services, messages, bytes, .. } => (
            "ADDRESS                                   MESSAGES        OCTETS  SERVICES",
            format!("{address:<40} {messages:>9} {bytes:>13}  {}", services.join(",")),
        ),
        Line::Mailbox { name, special_use, uid_next, messages, unseen, bytes, .. } => (
            "MAILBOX                          USE        MESSAGES   UNSEEN        OCTETS    UIDNEXT",
            format!("{name:<32} {special_use:<9} {messages:>9} {unseen:>8} {bytes:>13} {uid_next:>10}"),
        ),
        Line::Quota { resource, used, limit } => (
            "RESOURCE            USED         LIMIT",
            format!(
                "{resource:<10} {used:>13} {:>13}",
                limit.map_or("none".to_string(), |limit| limit.to_string())
            ),
        ),
        Line::Share { mailbox, identifier, rights } => (
            "MAILBOX                          WHO                                      RIGHTS",
            format!("{mailbox:<32} {identifier:<40} {rights}"),
        ),
        Line::Subscription { name } => ("SUBSCRIBED", name.clone()),
        // The restore that asked for these prints them itself.
        Line::GoneMailbox { name, .. } => ("DELETED MAILBOX", name.clone()),
        Line::Owner { shard, .. } => ("SHARD", shard.to_string()),
        Line::Bounds { message_bytes_max } => ("LARGEST MESSAGE", message_bytes_max.to_string()),
        Line::Gone(gone) => ("LEFT: UID", gone.uid.to_string()),
        Line::PutBack { target, .. } => ("PUT BACK", format!("{target:?}")),
        Line::Message { uid, size, internal_ms, flags, .. } => (
            "       UID        OCTETS  INTERNALDATE (ms)  FLAGS",
            format!("{uid:>10} {size:>13} {internal_ms:>18}  {}", flags.join(" ")),
        ),
        Line::Domain { name } => ("DOMAIN", name.clone()),
        Line::Alias { address, targets } => (
            "ALIAS                                     STANDS FOR",
            format!("{address:<40}  {}", targets.join(" ")),
        ),
        Line::Result { address, refused } => {
            ("ADDRESS: RESULT", format!("{address}: {}", refused.as_deref().unwrap_or("done")))
        }
        Line::Shard { shard, figures } => {
            let figures: Vec<String> =
                figures.iter().map(|(name, value)| format!("  {name:<28} {value}")).collect();
            ("", format!("shard {shard}\n{}", figures.join("\n")))
        }
        Line::Slots { .. }
        | Line::Slot { .. }
        | Line::Planned { .. }
        | Line::Moving { .. }
        | Line::Damage(_)
        | Line::Scrub(_)
        | Line::Moved { .. } => upkeep_columns(line),
        Line::Sealed { shard, position } => ("", format!("shard {shard} up to {position}")),
        Line::File { name, bytes } => {
            ("FILE", format!("{name} {}", bytes.map_or(String::new(), |bytes| bytes.to_string())))
        }
        Line::Done => ("", String::new()),
        Line::Refused(why) => ("", why.clone()),
    }
}

/// A moment, or a dash.
fn moment(unix_ms: Option<u64>) -> String {
    unix_ms.filter(|unix_ms| *unix_ms > 0).map_or_else(|| "-".to_owned(), crate::log::moment)
}

fn damaged(line: &DamageLine) -> String {
    let (shard, since) = (line.shard, moment(line.since_ms));
    let file = line.file.as_deref().unwrap_or("-");
    let offset = line.offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    let what = match (&line.mailbox, line.uid) {
        (Some(mailbox), Some(uid)) => format!("{} {mailbox} {uid}", line.account),
        _ => format!("{}, all of it", line.account),
    };
    let id = line.message_id.as_ref().map_or_else(String::new, |id| format!(": {id}"));
    format!("{shard:>5}  {since:<24}  {file:<17} {offset:>10}  {what}{id}")
}

fn scrubbed(line: &ScrubLine) -> String {
    let round = match (line.under_way, line.begun_ms) {
        (true, begun_ms) => moment(Some(begun_ms)),
        (false, _) => "none under way".to_owned(),
    };
    let mb = |bytes: u64| bytes / 1_000_000;
    format!(
        "{:>5}  {round:<24} {:>6} {:>3} {:>12} {:>11} {:>6} {:>6} {:>6}  {}",
        line.shard,
        line.files - line.files_left.min(line.files),
        line.files,
        mb(line.bytes),
        mb(line.file_bytes),
        mb(line.bytes_per_second),
        line.found,
        line.hidden,
        moment(Some(line.ended_ms)),
    )
}

/// The same of lines about slots, damage and scrub.
fn upkeep_columns(line: &Line) -> (&'static str, String) {
    match line {
        Line::Slots { shard, slots, runs, accounts, messages, bytes } => (
            "SHARD  SLOTS   ACCOUNTS     MESSAGES            OCTETS  WHICH",
            format!("{shard:>5} {slots:>6} {accounts:>10} {messages:>12} {bytes:>17}  {}", slot_runs(runs)),
        ),
        Line::Slot { slot, shard, accounts, messages, bytes } => (
            " SLOT  SHARD   ACCOUNTS     MESSAGES            OCTETS",
            format!("{slot:>5} {shard:>6} {accounts:>10} {messages:>12} {bytes:>17}"),
        ),
        Line::Planned { slot, from, to, accounts, messages, bytes } => (
            " SLOT   FROM     TO   ACCOUNTS     MESSAGES            OCTETS",
            format!("{slot:>5} {from:>6} {to:>6} {accounts:>10} {messages:>12} {bytes:>17}"),
        ),
        Line::Moving { slot, bytes } => ("", format!("{slot:>5} {bytes} octets copied")),
        Line::Moved { slot, from, to, accounts, messages, bytes, held_ms } => (
            " SLOT   FROM     TO   ACCOUNTS     MESSAGES            OCTETS  HELD (ms)",
            format!("{slot:>5} {from:>6} {to:>6} {accounts:>10} {messages:>12} {bytes:>17} {held_ms:>10}"),
        ),
        Line::Damage(line) => (
            "SHARD  SINCE                     FILE                  OFFSET  ACCOUNT, MAILBOX, UID: MESSAGE-ID",
            damaged(line),
        ),
        Line::Scrub(line) => (
            "SHARD  ROUND                     FILES  OF      READ MB       OF MB   MB/S  FOUND HIDDEN  LAST ENDED",
            scrubbed(line),
        ),
        _ => ("", String::new()),
    }
}

/// `0-4094/2` for every second slot, `17` for one; the first runs of many.
fn slot_runs(runs: &[SlotRun]) -> String {
    const TOLD: usize = 6;
    let mut told: Vec<String> = runs.iter().take(TOLD).map(slot_run).collect();
    if runs.len() > TOLD {
        told.push(format!("and {} runs more", runs.len() - TOLD));
    }
    told.join(" ")
}

fn slot_run(run: &SlotRun) -> String {
    match (run.first == run.last, run.step) {
        (true, _) => run.first.to_string(),
        (false, 1) => format!("{}-{}", run.first, run.last),
        (false, step) => format!("{}-{}/{step}", run.first, run.last),
    }
}
