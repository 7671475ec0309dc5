//! One client's conversation.
//!
//! *Owns*: the states of rfc1939#4-6 and which command is allowed in which. *Promises*: one answer to each
//! command, in order; nothing is removed but by a QUIT whose change is durable. *Assumes*: the shard moves
//! the session to the account's owner at `Handoff`. *Never*: keeps what it read from the store; the maildrop
//! holds ids and places.
//!
//! ```text
//!            STLS ─► StartingTls ─┐            ┌──── long answer ────┐
//!               │                 ▼            ▼                     │
//!  greeting ─► Authorization ◄─ refused     Transaction ──────► Answering
//!               │      │          ▲            ▲    │
//!            PASS    AUTH ─► Sasl─┤            │   QUIT ─► Updating ─► Closed
//!               │              │  │            │             (AwaitCommit)
//!               └──► Arriving ─┴─►Verifying ─► Opening
//!                   (Handoff)     (Verify)     (snapshot in steps)
//! ```

use ringpost_engine::change::{Outcome, UidSet};
use ringpost_engine::ids::{AccountId, Lsn, MailboxId, Uid};

use super::command::{Bad, Command, parse};
use super::maildrop::{Listing, Maildrop, NoMessage};
use super::retr::{Retr, Step};
use crate::limits::{
    BAD_COMMANDS_AFTER_LOGIN_MAX, BAD_COMMANDS_BEFORE_LOGIN_MAX, POP3_LINE_BYTES_MAX, POP3_READ_RANGES_MAX,
};
use crate::proto::framer::{Framed, LineEnd, LineFramer};
use crate::proto::identity::Identity;
use crate::proto::output::Outbox;
use crate::proto::sasl::{Credentials, Exchange};
use crate::proto::{Committed, Cx, Fact, Input, Output, Patience, Peer, Reply, Server, Session};

/// A POP3 session.
#[derive(Debug)]
pub struct Pop3Session {
    pub(super) peer: Peer,
    pub(super) lines: LineFramer,
    pub(super) state: State,
    pub(super) out: Outbox,
    /// The client sent UTF8 (rfc6856#2.1).
    pub(super) utf8: bool,
    draining: bool,
    /// In a row after login, in all before.
    bad_commands: u32,
    pub(super) login_failures: u32,
    pub(super) tally: Tally,
    identity: Identity,
    /// Sent whole, and not noted yet; whose.
    reads: UidSet,
    read_in: Option<(AccountId, MailboxId)>,
}

#[derive(Debug)]
pub(super) enum State {
    /// Nobody is logged in; what USER named.
    Authorization { user: Option<Vec<u8>> },
    /// AUTH is under way.
    Sasl(Exchange),
    /// The handshake is under way.
    StartingTls,
    /// On the way to the shard that owns the user.
    Arriving(Credentials),
    /// The password is being checked.
    Verifying { account: Option<AccountId> },
    /// The snapshot is being taken.
    Opening(Maildrop),
    /// Logged in.
    Transaction(Maildrop),
    /// A long answer is being written.
    Answering(Maildrop, Answer),
    /// QUIT's change is on its way to the disk.
    Updating { lsn: Lsn, account: AccountId },
    /// Over.
    Closed,
}

/// A long answer and how far it has come.
#[derive(Debug)]
pub(super) enum Answer {
    Listing(Listing, usize),
    /// With the UID of a message that is sent whole.
    Message(Box<Retr>, Option<Uid>),
}

/// For the log line.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) user: String,
    commands: u64,
    retrieved: u64,
    deleted: u64,
}

impl Pop3Session {
    /// A session for a connection.
    pub fn new(peer: Peer) -> Pop3Session {
        Pop3Session {
            peer,
            lines: LineFramer::new(POP3_LINE_BYTES_MAX, LineEnd::Lenient),
            state: State::Authorization { user: None },
            out: Outbox::default(),
            utf8: false,
            draining: false,
            bad_commands: 0,
            login_failures: 0,
            tally: Tally::default(),
            identity: Identity::default(),
            reads: UidSet::new(),
            read_in: None,
        }
    }

    pub(super) fn ok(&mut self, text: impl AsRef<str>) {
        self.out.text(format!("+OK {}\r\n", text.as_ref()));
    }

    pub(super) fn err(&mut self, text: impl AsRef<str>) {
        self.out.text(format!("-ERR {}\r\n", text.as_ref()));
    }

    pub(super) fn close(&mut self) {
        self.out.push(Output::Close);
        self.state = State::Closed;
    }

    /// A line that is no command, or not one that is allowed here.
    pub(super) fn bad(&mut self, text: &str) {
        self.bad_commands += 1;
        self.err(text);
        let bad_commands_max = match self.state {
            State::Transaction(_) => BAD_COMMANDS_AFTER_LOGIN_MAX,
            _ => BAD_COMMANDS_BEFORE_LOGIN_MAX,
        };
        if self.bad_commands >= bad_commands_max {
            self.close();
        }
    }

    fn too_long(&mut self) {
        if let State::Sasl(_) = self.state {
            self.state = State::Authorization { user: None };
            self.lines.limit(POP3_LINE_BYTES_MAX);
        }
        self.bad("line too long");
    }

    /// Between two commands nothing is half done.
    fn drain(&mut self) {
        if self.draining && self.listens() {
            self.err("[SYS/TEMP] the server is stopping, try again later");
            self.close();
        }
    }

    /// Whether the session listens to the client now.
    fn listens(&self) -> bool {
        matches!(self.state, State::Authorization { .. } | State::Sasl(_) | State::Transaction(_))
    }

    fn line(&mut self, line: &[u8], input: &Input, cx: &mut Cx<'_>) {
        if let State::Sasl(exchange) = &mut self.state {
            let step = exchange.line(line);
            return self.sasl(step);
        }
        self.tally.commands += 1;
        match parse(line) {
            Err(Bad::Unknown) => self.bad("unknown command"),
            Err(Bad::Arguments) => self.bad("wrong arguments"),
            Ok(Command::Capa) => self.capa(cx.server),
            Ok(command) if matches!(self.state, State::Transaction(_)) => self.transaction(command, cx),
            Ok(command) => self.authorization(command, input, cx),
        }
    }

    fn transaction(&mut self, command: Command<'_>, cx: &mut Cx<'_>) {
        let State::Transaction(mut maildrop) = std::mem::replace(&mut self.state, State::Closed) else {
            return;
        };
        let (bad_commands, mut answer) = (std::mem::take(&mut self.bad_commands), None);
        let reply = match command {
            Command::Stat => Ok(format!("{} {}", maildrop.kept(), maildrop.kept_bytes())),
            Command::Noop => Ok("nothing done".to_owned()),
            Command::Rset => {
                maildrop.unmark_all();
                Ok(status(&maildrop))
            }
            Command::Dele(number) => maildrop.mark(number).map(|()| format!("message {number} deleted")),
            Command::List(Some(number)) => one(&maildrop, Listing::Sizes, number),
            Command::Uidl(Some(number)) => one(&maildrop, Listing::UniqueIds, number),
            Command::List(None) => {
                answer = Some(Answer::Listing(Listing::Sizes, 0));
                Ok(status(&maildrop))
            }
            Command::Uidl(None) => {
                answer = Some(Answer::Listing(Listing::UniqueIds, 0));
                Ok("unique-id listing follows".to_owned())
            }
            Command::Retr(number) => return self.retrieve(maildrop, number, None, cx),
            Command::Top(number, lines) => return self.retrieve(maildrop, number, Some(lines), cx),
            Command::Quit => return self.update(maildrop, cx),
            _ => {
                self.state = State::Transaction(maildrop);
                self.bad_commands = bad_commands;
                return self.bad("not after login");
            }
        };
        match reply {
            Ok(text) => self.ok(text),
            Err(missing) => self.missing(missing),
        }
        self.state = match answer {
            Some(answer) => State::Answering(maildrop, answer),
            None => State::Transaction(maildrop),
        };
        self.go_on(cx);
    }

    fn missing(&mut self, missing: NoMessage) {
        match missing {
            NoMessage::OutOf(count) => {
                self.err(format!("no such message, only {count} messages in maildrop"))
            }
            NoMessage::Deleted(number) => self.err(format!("message {number} already deleted")),
        }
    }

    fn retrieve(&mut self, maildrop: Maildrop, number: u32, top: Option<u32>, cx: &Cx<'_>) {
        self.state = match maildrop.message(number) {
            // rfc3206#4: nothing that the user does will help.
            Ok(message) if message.hidden => {
                self.err("[SYS/PERM] this message is damaged");
                State::Transaction(maildrop)
            }
            Ok(message) => {
                let retr = Retr::begin(message.body, top, self.utf8, cx.store, &mut self.out);
                let whole = top.is_none().then_some(message.uid);
                State::Answering(maildrop, Answer::Message(Box::new(retr), whole))
            }
            Err(missing) => {
                self.missing(missing);
                State::Transaction(maildrop)
            }
        };
    }

    /// Goes on with what takes several steps.
    pub(super) fn go_on(&mut self, cx: &mut Cx<'_>) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Opening(mut maildrop) => {
                if maildrop.load(cx.store) {
                    self.bad_commands = 0;
                    self.ok(status(&maildrop));
                    State::Transaction(maildrop)
                } else {
                    self.out.push(Output::Yield);
                    State::Opening(maildrop)
                }
            }
            State::Answering(maildrop, Answer::Listing(listing, from)) => {
                match maildrop.list(listing, from, &mut self.out) {
                    Some(next) => State::Answering(maildrop, Answer::Listing(listing, next)),
                    None => {
                        self.out.text(".\r\n");
                        State::Transaction(maildrop)
                    }
                }
            }
            State::Answering(maildrop, Answer::Message(mut retr, whole)) => {
                match retr.step(cx.store, &mut self.out) {
                    Step::More => State::Answering(maildrop, Answer::Message(retr, whole)),
                    Step::Done => {
                        self.tally.retrieved += 1;
                        self.read(maildrop.place(), whole, cx);
                        State::Transaction(maildrop)
                    }
                    Step::Unreadable => {
                        self.err("[SYS/PERM] this message is damaged");
                        State::Transaction(maildrop)
                    }
                    // Half an answer must not look like a whole one.
                    Step::Lost => return self.close(),
                }
            }
            state => state,
        };
    }

    /// A message was sent.
    fn read(&mut self, place: (AccountId, MailboxId), whole: Option<Uid>, cx: &mut Cx<'_>) {
        let Some(uid) = whole.filter(|_| cx.server.note_reads) else { return };
        self.reads.push(uid);
        self.read_in = Some(place);
        if self.reads.ranges().len() >= POP3_READ_RANGES_MAX {
            self.note_reads(cx);
        }
    }

    /// Has the log note what was sent, once a session: no RETR waits for it, nor does QUIT.
    fn note_reads(&mut self, cx: &mut Cx<'_>) {
        if let Some(place) = self.read_in.take() {
            let who = (&self.peer, self.tally.user.as_str());
            self.identity.note_reading(who, place, std::mem::take(&mut self.reads), cx);
        }
    }

    // The UPDATE state (rfc1939#6).

    fn update(&mut self, maildrop: Maildrop, cx: &mut Cx<'_>) {
        let Some(change) = maildrop.expunge() else {
            self.note_reads(cx);
            self.ok("goodbye");
            return self.close();
        };
        let account = maildrop.account();
        // Both name the session by one record, and what was read comes before it is removed.
        let by = self.identity.origin(&self.peer, &self.tally.user, cx);
        self.note_reads(cx);
        match cx.store.append_by(by, account, change, cx.now) {
            Ok(lsn) => {
                self.tally.deleted = maildrop.marked() as u64;
                self.out.push(Output::AwaitCommit(lsn));
                self.state = State::Updating { lsn, account };
            }
            Err(_) => self.not_removed(),
        }
    }

    fn not_removed(&mut self) {
        self.tally.deleted = 0;
        self.err("[SYS/TEMP] deleted messages not removed");
        self.close();
    }
}

fn status(maildrop: &Maildrop) -> String {
    format!("{} messages ({} octets)", maildrop.kept(), maildrop.kept_bytes())
}

fn one(maildrop: &Maildrop, listing: Listing, number: u32) -> Result<String, NoMessage> {
    Ok(maildrop.line(listing, number, maildrop.message(number)?))
}

impl Session for Pop3Session {
    fn start(&mut self, cx: &mut Cx<'_>) {
        // No "<…>": that would offer APOP (rfc1939#7).
        self.ok(format!("{} POP3 server ready", cx.server.hostname));
    }

    fn feed(&mut self, input: &mut Input, cx: &mut Cx<'_>) {
        while self.listens() && !self.out.is_full() {
            match self.lines.next(input) {
                Framed::Need => return,
                Framed::Line(line) => self.line(&line, input, cx),
                Framed::TooLong | Framed::BareLf => self.too_long(),
            }
            self.drain();
        }
    }

    fn on_commit(&mut self, commit: Committed, _cx: &mut Cx<'_>) {
        if !matches!(self.state, State::Updating { lsn, .. } if lsn == commit.lsn) {
            return;
        }
        if let Outcome::Refused(_) = commit.outcome {
            return self.not_removed();
        }
        self.ok("goodbye");
        self.close();
    }

    fn on_reply(&mut self, reply: Reply, cx: &mut Cx<'_>) {
        match (std::mem::replace(&mut self.state, State::Closed), reply) {
            (State::StartingTls, Reply::TlsStarted) => {
                self.peer.tls = true;
                self.state = State::Authorization { user: None };
            }
            (State::Arriving(credentials), Reply::Arrived) => self.verify(credentials, cx),
            (State::Verifying { account }, Reply::Verified(good)) => self.verified(good, account, cx),
            (state, _) => self.state = state,
        }
        self.drain();
    }

    fn on_push(&mut self, _cx: &mut Cx<'_>) {}

    fn resume(&mut self, room: usize, cx: &mut Cx<'_>) {
        self.out.room(room);
        self.go_on(cx);
        self.drain();
    }

    fn on_timeout(&mut self, _cx: &mut Cx<'_>) {
        // rfc1939#3: without removing any messages or sending any response.
        self.close();
    }

    fn on_end(&mut self, cx: &mut Cx<'_>) {
        self.note_reads(cx);
    }

    fn on_drain(&mut self, _cx: &mut Cx<'_>) {
        self.draining = true;
        self.drain();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.out.poll()
    }

    fn patience(&self, server: &Server) -> Patience {
        match self.state {
            State::Authorization { .. } | State::Sasl(_) | State::StartingTls => {
                Patience::Ms(server.login_timeout_ms)
            }
            State::Transaction(_) => Patience::Ms(server.pop3_idle_timeout_ms),
            _ => Patience::Waiting,
        }
    }

    fn watches(&self) -> Option<AccountId> {
        None
    }

    fn account(&self) -> Option<AccountId> {
        match &self.state {
            State::Opening(maildrop) | State::Transaction(maildrop) | State::Answering(maildrop, _) => {
                Some(maildrop.account())
            }
            State::Updating { account, .. } => Some(*account),
            _ => None,
        }
    }

    fn buffered(&self) -> usize {
        0
    }

    fn facts(&self) -> Vec<Fact> {
        let Tally { user, commands, retrieved, deleted } = &self.tally;
        vec![
            ("user", user.clone()),
            ("login_failures", self.login_failures.to_string()),
            ("commands", commands.to_string()),
            ("retrieved", retrieved.to_string()),
            ("deleted", deleted.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SASL_LINE_BYTES_MAX;
    use crate::proto::Service;
    use crate::proto::testing::{Stage, peer};

    fn stage() -> Stage<Pop3Session> {
        Stage::new(Pop3Session::new(peer(Service::Pop3)))
    }

    #[test]
    fn commands_behind_stls_never_pass_for_protected_ones() {
        let mut stage = stage();
        let said = stage.send(b"STLS\r\nUSER evil\r\n");
        assert_eq!(said, "-ERR commands behind STLS are refused\r\n{Close}");
        assert_eq!(stage.send(b"QUIT\r\n"), "");
    }

    #[test]
    fn a_login_goes_to_the_owner_and_costs_the_same_for_nobody() {
        let mut stage = stage();
        let said = stage.send(b"USER Nobody@X.test\r\nPASS secret\r\nNOOP\r\n");
        assert_eq!(said, "+OK send the password\r\n{Handoff nobody@x.test}");
        assert_eq!(stage.input.bytes(), b"NOOP\r\n", "what is pipelined waits");
        let said = stage.answer(Reply::Arrived);
        assert_eq!(said, format!("{{Verify {}}}", crate::proto::UNKNOWN_ACCOUNT_HASH));
        // Even if the pool said yes: there is no such account.
        let said = stage.answer(Reply::Verified(Some(true)));
        assert_eq!(said, "-ERR [AUTH] wrong name or password\r\n-ERR log in first\r\n");
        stage.send(b"USER a\r\nPASS b\r\n");
        stage.answer(Reply::Arrived);
        assert!(stage.answer(Reply::Verified(None)).starts_with("-ERR [SYS/TEMP] "));
        assert!(stage.session.facts().iter().all(|(_, value)| !value.contains("secret")));
    }

    #[test]
    fn a_response_of_any_length_leaves_the_session_in_order() {
        let mut stage = stage();
        assert_eq!(stage.send(b"AUTH PLAIN\r\n"), "+ \r\n");
        let long = [&[b'A'; SASL_LINE_BYTES_MAX], b"A".as_slice()].concat();
        assert_eq!(stage.send(&long), "-ERR line too long\r\n");
        assert_eq!(stage.send(b"AAAA\r\nNOOP\r\n"), "-ERR log in first\r\n");
        assert_eq!(stage.send(&[b'A'; POP3_LINE_BYTES_MAX]), "-ERR line too long\r\n");
    }
}
