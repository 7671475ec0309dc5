//! A small mailbox chosen by octets, as the server has it and as an oracle knows it.

use std::sync::OnceLock;

use ringpost::proto::{Server, Service};

use super::choices::Choices;
use super::world::{World, server};

/// Subjects and bodies.
pub const WORDS: [&str; 9] =
    ["plan", "Plan B", "report", "an", "x", "quarterly report", "Re: plan", "report (fwd)", "[list] x"];
/// Senders.
pub const NAMES: [&str; 3] = ["ann@elsewhere.test", "bob@example.test", "Carol <carol@example.org>"];
/// Flags and a keyword.
pub const FLAGS: [&str; 5] = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "Work"];
/// Days of January 2022; the world's clock stands on the first.
pub const DAYS: usize = 5;
/// So many messages at most, and so many message ids.
pub const MESSAGES_MAX: usize = 8;

const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// A message.
pub struct Mail {
    /// Its UID.
    pub uid: usize,
    /// The value of From.
    pub from: &'static str,
    /// The value of Subject.
    pub subject: &'static str,
    /// The first line of its body.
    pub body: &'static str,
    /// The day of Date, at nine o'clock.
    pub sent_day: usize,
    /// The day of INTERNALDATE.
    pub arrived_day: usize,
    /// Its flags.
    pub flags: Vec<&'static str>,
    /// RFC822.SIZE.
    pub octets: usize,
    /// The number in its Message-ID: usually its UID, sometimes that of another one.
    pub id: usize,
    /// The numbers in its References, oldest first.
    pub references: Vec<usize>,
}

/// A world of one shard with room for short messages, by the same facts each time: reading the settings anew and
/// making room for long ones cost more than a mailbox.
pub fn world() -> World {
    static FACTS: OnceLock<Server> = OnceLock::new();
    World::new(1, FACTS.get_or_init(|| Server { message_bytes_max: MESSAGE_BYTES_MAX, ..server() }))
}

/// A world in which alice, on connection 1, has selected what `choices` made of her INBOX.
pub fn mailbox(choices: &mut Choices<'_>) -> (World, Vec<Mail>) {
    let mut world = world();
    world.connect(1, Service::Imap, true);
    // What is said in one piece costs one turn and one commit, however many messages it brings.
    let mut said = "l LOGIN alice@example.test secret\r\nl SELECT INBOX\r\na APPEND INBOX".to_owned();
    let mut mails: Vec<Mail> =
        (1..=1 + choices.below(MESSAGES_MAX)).map(|uid| appended(choices, &mut said, uid)).collect();
    said.push_str("\r\n");
    for index in (0..mails.len()).rev() {
        if choices.below(4) == 1 {
            let uid = mails.remove(index).uid;
            said.push_str(&format!("e UID STORE {uid} +FLAGS.SILENT (\\Deleted)\r\ne UID EXPUNGE {uid}\r\n"));
        }
    }
    world.receive(1, said.as_bytes());
    (world, mails)
}

/// One more message of an APPEND (rfc3502#6.3.11).
fn appended(choices: &mut Choices<'_>, said: &mut String, uid: usize) -> Mail {
    let (from, subject, body) = (choices.pick(&NAMES), choices.pick(&WORDS), choices.pick(&WORDS));
    let (sent_day, arrived_day) = (1 + choices.below(DAYS), 1 + choices.below(DAYS));
    let chosen = choices.below(1 << FLAGS.len());
    let flags: Vec<_> = (0..FLAGS.len()).filter(|bit| chosen >> bit & 1 == 1).map(|bit| FLAGS[bit]).collect();
    let id = if choices.below(8) == 7 { 1 + choices.below(MESSAGES_MAX) } else { uid };
    let references: Vec<usize> = (0..choices.below(4)).map(|_| 1 + choices.below(MESSAGES_MAX + 2)).collect();
    let padding = "p".repeat(choices.below(40));
    let named: String = references.iter().map(|id| format!(" <{id}@example.test>")).collect();
    let named = if named.is_empty() { named } else { format!("References:{named}\r\n") };
    let message = format!(
        "From: {from}\r\nSubject: {subject}\r\nDate: {sent_day} Jan 2022 09:00:00 +0000\r\n\
         Message-ID: <{id}@example.test>\r\n{named}\r\n{body}\r\n{padding}\r\n"
    );
    let octets = message.len();
    let flagged = flags.join(" ");
    said.push_str(&format!(
        " ({flagged}) \"0{arrived_day}-Jan-2022 12:00:00 +0000\" {{{octets}+}}\r\n{message}"
    ));
    Mail { uid, from, subject, body, sent_day, arrived_day, flags, octets, id, references }
}

/// What alice hears in answer to a command.
pub fn ask(world: &mut World, command: &str) -> String {
    let before = world.heard(1).len();
    world.receive(1, format!("s {command}\r\n").as_bytes());
    String::from_utf8_lossy(&world.heard(1)[before..]).into_owned()
}
