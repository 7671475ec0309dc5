//! Scenario `imap-neighbour`: what one session's huge commands cost another one of the same server.
//!
//! *Owns*: the huge things, in an order in which each leaves what the next one needs. *Promises*: a line for
//! each, with the worst NOOP of the neighbour while it ran, and one for a while in which nothing ran: what the
//! machine itself does. *Assumes*: the mailbox of `imap-select --prepare`; a server with one shard, or both
//! accounts on the same. *Never*: leaves copies, folders or flags behind when all went well.

mod noop;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load::client::Target;
use crate::load::failure::Failure;
use crate::load::imap::ImapSession;
use crate::load::run::within;
use crate::options;
use noop::Neighbour;

/// Seconds of the line `nothing`.
const QUIET_SECONDS: f64 = 2.0;
/// Folders created (and deleted) by one write.
const FOLDERS_PIPELINED: u64 = 100;

/// The commands on the mailbox; `{}` in a name stands for how many messages.
const ON_MAILBOX: &[(&str, &str, Option<&str>)] = &[
    ("SELECT", "SELECT INBOX", None),
    ("FETCH 1:* (FLAGS)", "FETCH 1:* (FLAGS)", None),
    ("FETCH 1:* (… ENVELOPE)", "FETCH 1:* (FLAGS UID RFC822.SIZE ENVELOPE)", None),
    ("SEARCH FLAGGED", "SEARCH FLAGGED", None),
    ("SEARCH TEXT, miss", "SEARCH TEXT xylophonist", None),
    ("SORT (SUBJECT)", "SORT (SUBJECT) UTF-8 ALL", Some("SORT")),
    ("THREAD REFERENCES", "THREAD REFERENCES UTF-8 ALL", Some("THREAD=REFERENCES")),
    ("STORE 1:* +FLAGS.SILENT", "STORE 1:* +FLAGS.SILENT (\\Answered)", None),
    ("STORE 1:* -FLAGS, told", "STORE 1:* -FLAGS (\\Answered)", None),
    ("CREATE", "CREATE bench-copies", None),
    ("COPY 1:*", "COPY 1:* bench-copies", None),
    ("SELECT of the copies", "SELECT bench-copies", None),
    ("STORE of the copies", "STORE 1:* +FLAGS.SILENT (\\Deleted)", None),
    ("EXPUNGE of all", "EXPUNGE", None),
    ("DELETE", "DELETE bench-copies", None),
];

/// Both sessions.
struct Scene<'a> {
    options: &'a options::Neighbour,
    session: ImapSession,
    neighbour: Option<Neighbour>,
    /// Of the mailbox.
    messages: u64,
}

/// Runs all of it, a JSON line for each.
pub async fn perform(options: &options::Neighbour) -> Result<(), String> {
    let common = &options.common;
    let target = Target::new(common, common.port.unwrap_or(2143))?;
    let timeout = Duration::from_secs_f64(common.timeout_seconds);
    let user = common.user(0);
    let open = async {
        let mut session = ImapSession::open(&target, 0, &user, &options.login.password).await?;
        let messages = session.select("INBOX").await?;
        Ok((session, messages))
    };
    let (session, messages) = within(timeout, open).await.map_err(|failure| failure.to_string())?;
    let plain = target.plain(common.port.unwrap_or(2143)).address();
    let neighbour = Neighbour::open(plain, &options.neighbour, &options.login.password, timeout)?;
    let mut scene = Scene { options, session, neighbour: Some(neighbour), messages };
    scene
        .beside("nothing", async |_| {
            tokio::time::sleep(Duration::from_secs_f64(QUIET_SECONDS)).await;
            Ok(())
        })
        .await?;
    for (name, command, needs) in ON_MAILBOX {
        if needs.is_some_and(|capability| !scene.session.has(capability)) {
            eprintln!("ringpost-bench: {name}: not announced, left out");
            continue;
        }
        scene.beside(name, async |session| session.list(command, |_| {}).await.map(drop)).await?;
    }
    scene.folders().await?;
    scene.huge_message().await
}

impl Scene<'_> {
    /// Does something while the neighbour says NOOP, and writes the line.
    async fn beside(
        &mut self,
        name: &str,
        work: impl AsyncFnOnce(&mut ImapSession) -> Result<(), Failure>,
    ) -> Result<(), String> {
        let neighbour = self.neighbour.take().ok_or("the neighbour is gone")?;
        let watch = neighbour.watch()?;
        let begun = Instant::now();
        let limit = Duration::from_secs_f64(self.options.common.timeout_seconds);
        let done = within(limit, work(&mut self.session)).await;
        let seconds = begun.elapsed().as_secs_f64();
        let (neighbour, latencies) = watch.stop()?;
        self.neighbour = Some(neighbour);
        done.map_err(|failure| format!("{name}: {failure}"))?;
        let at = |percentile: f64| latencies.value_at_percentile(percentile);
        let line: Value = json!({
            "scenario": "imap-neighbour",
            "work": name,
            "server": self.options.common.label,
            "messages": self.messages,
            "seconds": (seconds * 1e6).round() / 1e6,
            "noops": latencies.len(),
            "noop_us": {"p50": at(50.0), "p99": at(99.0), "p99_9": at(99.9), "max": latencies.max()},
        });
        println!("{line}");
        Ok(())
    }

    /// Thousands of folders in LIST.
    async fn folders(&mut self) -> Result<(), String> {
        let count = self.options.folders;
        let each = |verb: &'static str| {
            move |number: u64| format!("{verb} bench-folders/{:03}/{number:06}", number / 100).into_bytes()
        };
        self.beside("CREATE of folders", async |session| pipelined(session, count, each("CREATE")).await)
            .await?;
        for (name, command) in [
            ("LIST of folders", "LIST \"\" *"),
            ("LIST with STATUS", "LIST \"\" * RETURN (STATUS (MESSAGES))"),
        ] {
            if !command.contains("RETURN") || self.session.has("LIST-STATUS") {
                self.beside(name, async |session| session.list(command, |_| {}).await.map(drop)).await?;
            }
        }
        self.beside("DELETE of folders", async |session| pipelined(session, count, each("DELETE")).await)
            .await?;
        let parents = (0..=count / 100).map(|number| format!("DELETE bench-folders/{number:03}"));
        for command in parents.chain(["DELETE bench-folders".to_owned()]) {
            // Whether a parent is a mailbox of its own is the server's choice.
            self.session.list(&command, |_| {}).await.map(drop).or_else(unless_refused)?;
        }
        Ok(())
    }

    /// One message of many megabytes in and out.
    async fn huge_message(&mut self) -> Result<(), String> {
        let octets = self.options.huge_bytes;
        let fail = |failure: Failure| format!("the huge message: {failure}");
        self.session.list("CREATE bench-huge", |_| {}).await.map(drop).map_err(fail)?;
        let message = super::survey::corpus::message(1, octets).octets;
        let mut command = format!("APPEND bench-huge {{{}+}}\r\n", message.len()).into_bytes();
        command.extend_from_slice(&message);
        drop(message);
        self.beside("APPEND of a huge message", async |session| session.pipeline(&[command]).await).await?;
        for (name, command) in [
            ("SELECT of it", "SELECT bench-huge".to_owned()),
            ("FETCH of it", "FETCH 1 BODY.PEEK[]".to_owned()),
            ("FETCH of its ENVELOPE", "FETCH 1 (ENVELOPE BODYSTRUCTURE)".to_owned()),
            ("SEARCH TEXT in it", "SEARCH TEXT xylophonist".to_owned()),
            ("COPY of it", "COPY 1 bench-huge".to_owned()),
            ("CLOSE", "CLOSE".to_owned()),
        ] {
            self.beside(name, async |session| session.list(&command, |_| {}).await.map(drop)).await?;
        }
        self.session.list("DELETE bench-huge", |_| {}).await.map(drop).map_err(fail)
    }
}

fn unless_refused(failure: Failure) -> Result<(), String> {
    match failure.kind {
        crate::load::failure::Kind::Refused => Ok(()),
        _ => Err(failure.to_string()),
    }
}

/// So many commands, some of them in each write.
async fn pipelined(
    session: &mut ImapSession,
    count: u64,
    command: impl Fn(u64) -> Vec<u8>,
) -> Result<(), Failure> {
    let mut from = 0;
    while from < count {
        let to = count.min(from + FOLDERS_PIPELINED);
        let commands: Vec<Vec<u8>> = (from..to).map(&command).collect();
        session.pipeline(&commands).await?;
        from = to;
    }
    Ok(())
}
