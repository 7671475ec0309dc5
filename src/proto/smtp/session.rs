//! One client's conversation.
//!
//! *Owns*: the states, and which command goes to whom. *Promises*: replies in the order of the commands, one
//! question to the shard at a time (rfc2920#3.2). *Assumes*: what [`crate::proto`] says of the shard.
//! *Never*: leaves its shard; only the finished message travels.
//!
//! ```text
//!              STARTTLS ─► StartingTls ─┐
//!                  │                    ▼        RCPT ─► AskingRecipient ─ answer ─┐
//!  greeting ─► Command ◄────────────────┴──────────────────────────────────────────┤
//!                  ├─ AUTH ─► Sasl ─► Authenticating ──────────── answer ──────────┤
//!                  ├─ DATA ─► Data ──┬─► Delivering ───────────── results ─────────┤
//!                  ├─ BDAT ─► Chunk ─┘                                             │
//!                  │            └── not the last, or refused ──────────────────────┘
//!                  └─ QUIT, too many errors, silence, drain ─► Closed
//! ```

use ringpost_engine::ids::AccountId;

use super::bdat::Chunk;
use super::command::{Bad, Command, parse};
use super::data::DataReader;
use super::envelope::Transaction;
use super::hello::Greeted;
use super::message::Complete;
use super::reply;
use crate::limits::{BAD_COMMANDS_BEFORE_LOGIN_MAX, SMTP_LINE_BYTES_MAX};
use crate::proto::framer::{Framed, LineEnd, LineFramer};
use crate::proto::output::Outbox;
use crate::proto::sasl::Exchange;
use crate::proto::{Committed, Cx, Fact, Input, Output, Patience, Peer, Reply, Server, Service, Session};

/// An SMTP, submission or LMTP session: `peer.service` says which.
#[derive(Debug)]
pub struct SmtpSession {
    pub(super) peer: Peer,
    pub(super) lines: LineFramer,
    pub(super) state: State,
    pub(super) out: Outbox,
    /// How the client greeted; none before it has.
    pub(super) hello: Option<Greeted>,
    /// Who has logged in.
    pub(super) user: Option<String>,
    pub(super) transaction: Option<Transaction>,
    /// Messages begun, for queue ids.
    pub(super) transactions: u64,
    /// Since the last login or stored message.
    pub(super) bad_commands: u32,
    pub(super) login_failures: u32,
    /// Recipients that do not exist, since the last stored message.
    pub(super) unknown_recipients: u32,
    /// MAIL was refused for what it asked, so what a client pipelined behind it is out of place through no
    /// fault of its own (rfc2920#3.1).
    pub(super) in_vain: bool,
    pub(super) tally: Tally,
    draining: bool,
}

#[derive(Debug)]
pub(super) enum State {
    /// Listening for a command.
    Command,
    /// AUTH is under way.
    Sasl(Exchange),
    /// The handshake is under way.
    StartingTls,
    /// The owner of the user is asked.
    Authenticating { address: String },
    /// The owner of a recipient is asked.
    AskingRecipient { named: String },
    /// Receiving lines.
    Data(DataReader),
    /// Receiving counted octets.
    Chunk(Chunk),
    /// The message is there; its summary is not yet.
    Summarising(Box<Complete>),
    /// The message is on its way to the disk.
    Delivering { queue_id: String, named: Vec<String>, bytes: u64 },
    /// Over.
    Closed,
}

/// For the log line.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) commands: u64,
    pub(super) messages: u64,
    pub(super) recipients: u64,
    pub(super) bytes: u64,
    /// Replies of the 400s and 500s, and the last of them: why a message did not come.
    refusals: u64,
    last_refusal: String,
}

impl SmtpSession {
    /// A session for a connection.
    pub fn new(peer: Peer) -> SmtpSession {
        SmtpSession {
            peer,
            lines: LineFramer::new(SMTP_LINE_BYTES_MAX, LineEnd::CrLf),
            state: State::Command,
            out: Outbox::default(),
            hello: None,
            user: None,
            transaction: None,
            transactions: 0,
            bad_commands: 0,
            login_failures: 0,
            unknown_recipients: 0,
            in_vain: false,
            tally: Tally::default(),
            draining: false,
        }
    }

    pub(super) fn reply(&mut self, reply: impl AsRef<str>) {
        let reply = reply.as_ref();
        if reply.starts_with(['4', '5']) {
            self.tally.refusals += 1;
            reply.clone_into(&mut self.tally.last_refusal);
        }
        self.out.text(reply);
        self.out.text("\r\n");
    }

    /// A line that is no command, or not one that is allowed here.
    pub(super) fn bad(&mut self, reply: &str) {
        self.reply(reply);
        self.bad_commands += 1;
        if self.bad_commands >= BAD_COMMANDS_BEFORE_LOGIN_MAX {
            self.reply(reply::GIVE_UP);
            self.close();
        }
    }

    /// A command refused for its place or for lack of a login counts as bad; one refused for what it asked
    /// does not: a queue may hold many messages that are too large or for users long gone.
    pub(super) fn refuse(&mut self, reply: &str) {
        let expected = self.in_vain || reply == reply::NO_RECIPIENTS;
        match &reply[..3] {
            "503" if expected => self.reply(reply),
            "503" | "530" | "555" => self.bad(reply),
            _ => self.reply(reply),
        }
    }

    /// Says why nothing more is taken from this client, and ends.
    pub(super) fn dismiss(&mut self, reply: &str) {
        self.reply(reply);
        self.reply(reply::CLOSING);
        self.close();
    }

    pub(super) fn close(&mut self) {
        self.out.push(Output::Close);
        self.transaction = None;
        self.state = State::Closed;
    }

    fn line(&mut self, line: &[u8], input: &Input, cx: &mut Cx<'_>) {
        if let State::Sasl(exchange) = &mut self.state {
            let step = exchange.line(line);
            return self.sasl(step);
        }
        self.tally.commands += 1;
        match parse(line) {
            Ok(command) => self.command(command, input, cx),
            Err(Bad::Reply(reply)) => self.bad(reply),
            // What follows may be a message; none of it must be taken for commands.
            Err(Bad::Chunk) => self.dismiss(reply::BAD_ARGUMENTS),
        }
    }

    fn command(&mut self, command: Command<'_>, input: &Input, cx: &mut Cx<'_>) {
        match command {
            Command::Hello(which, name) => self.hello(which, name, cx.server),
            Command::StartTls => self.starttls(input, cx.server),
            Command::Auth(mechanism, initial) => self.auth(mechanism, initial, cx),
            Command::Mail(mail) => self.mail(mail, cx),
            Command::Rcpt(recipient) => self.rcpt(recipient, cx),
            Command::Data => self.data(cx),
            Command::Bdat { size, last } => self.bdat(size, last, cx),
            Command::Rset => {
                self.transaction = None;
                self.in_vain = false;
                self.reply(reply::OK);
            }
            Command::Noop => self.reply(reply::OK),
            Command::Vrfy => self.reply(reply::CANNOT_VRFY),
            Command::Expn => self.bad(reply::NOT_IMPLEMENTED),
            Command::Help => self.reply(reply::HELP),
            Command::Quit => {
                self.reply(reply::BYE);
                self.close();
            }
        }
    }

    /// The next line, if the session listens for one and it is there. Whether to go on.
    fn next_line(&mut self, input: &mut Input, cx: &mut Cx<'_>) -> bool {
        match self.lines.next(input) {
            Framed::Need => return false,
            Framed::Line(line) => self.line(&line, input, cx),
            // rfc5321#2.3.8; a client that says this has been fed by somebody else's message, or does not
            // speak SMTP.
            Framed::BareLf => self.dismiss(reply::BARE_LF),
            Framed::TooLong if matches!(self.state, State::Sasl(_)) => {
                self.state = State::Command;
                self.lines.limit(SMTP_LINE_BYTES_MAX);
                self.bad(reply::AUTH_LINE_TOO_LONG);
            }
            Framed::TooLong => self.bad(reply::LINE_TOO_LONG),
        }
        true
    }

    /// Between two commands nothing is half done.
    fn drain(&mut self, server: &Server) {
        if self.draining && matches!(self.state, State::Command | State::Sasl(_)) {
            self.reply(format!("421 4.3.2 {} is stopping, try again later", server.hostname));
            self.close();
        }
    }
}

impl Session for SmtpSession {
    fn start(&mut self, cx: &mut Cx<'_>) {
        let dialect = if self.peer.service == Service::Lmtp { "LMTP" } else { "ESMTP" };
        self.reply(format!("220 {} {dialect} Ringpost", cx.server.hostname));
    }

    fn feed(&mut self, input: &mut Input, cx: &mut Cx<'_>) {
        while !self.out.is_full() {
            match self.state {
                // An empty chunk is complete without any input.
                State::Data(_) | State::Chunk(_) => {
                    self.receive(input, cx);
                    if matches!(self.state, State::Data(_) | State::Chunk(_)) {
                        return;
                    }
                }
                State::Command | State::Sasl(_) => {
                    if !self.next_line(input, cx) {
                        return;
                    }
                }
                _ => return,
            }
            self.drain(cx.server);
        }
    }

    fn on_commit(&mut self, _commit: Committed, _cx: &mut Cx<'_>) {}

    fn on_reply(&mut self, reply: Reply, cx: &mut Cx<'_>) {
        match (std::mem::replace(&mut self.state, State::Command), reply) {
            (State::StartingTls, Reply::TlsStarted) => self.tls_started(),
            (State::Authenticating { address }, Reply::Answer(answer)) => self.authenticated(address, answer),
            (State::AskingRecipient { named }, Reply::Answer(answer)) => {
                self.recipient_answered(named, answer)
            }
            (State::Delivering { queue_id, named, bytes }, Reply::Delivered(results)) => {
                self.delivered(&queue_id, &named, bytes, &results);
            }
            (state, _) => self.state = state,
        }
        self.drain(cx.server);
    }

    fn on_push(&mut self, _cx: &mut Cx<'_>) {}

    fn resume(&mut self, room: usize, cx: &mut Cx<'_>) {
        self.out.room(room);
        match std::mem::replace(&mut self.state, State::Command) {
            State::Summarising(complete) => self.hand_over(complete, cx.now),
            state => self.state = state,
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        self.reply(format!("421 4.4.2 {} heard nothing for too long", cx.server.hostname));
        self.close();
    }

    fn on_drain(&mut self, cx: &mut Cx<'_>) {
        self.draining = true;
        self.drain(cx.server);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.out.poll()
    }

    fn patience(&self, server: &Server) -> Patience {
        match self.state {
            State::Command | State::Sasl(_) | State::StartingTls | State::Data(_) | State::Chunk(_) => {
                Patience::Ms(server.smtp_idle_timeout_ms)
            }
            _ => Patience::Waiting,
        }
    }

    fn watches(&self) -> Option<AccountId> {
        None
    }

    fn account(&self) -> Option<AccountId> {
        None
    }

    fn buffered(&self) -> usize {
        match &self.state {
            State::Summarising(complete) => complete.held(),
            _ => self.transaction.as_ref().map_or(0, Transaction::held),
        }
    }

    fn facts(&self) -> Vec<Fact> {
        let Tally { commands, messages, recipients, bytes, refusals, last_refusal } = &self.tally;
        vec![
            ("helo", self.hello.as_ref().map_or_else(String::new, |hello| hello.name.clone())),
            ("user", self.user.clone().unwrap_or_default()),
            ("login_failures", self.login_failures.to_string()),
            ("commands", commands.to_string()),
            ("messages", messages.to_string()),
            ("recipients", recipients.to_string()),
            ("message_bytes", bytes.to_string()),
            ("refusals", refusals.to_string()),
            ("last_refusal", last_refusal.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{SMTP_ACCOUNTS_MAX, SMTP_UNKNOWN_RECIPIENTS_MAX};
    use crate::proto::testing::{Stage, peer};
    use crate::proto::{Answer, Delivered, RecipientAnswer};

    fn stage(service: Service) -> Stage<SmtpSession> {
        Stage::new(SmtpSession::new(peer(service)))
    }

    /// A transaction with so many recipients.
    fn addressed(service: Service, recipients: usize) -> Stage<SmtpSession> {
        let mut stage = stage(service);
        stage.send(if service == Service::Lmtp { b"LHLO c\r\n" } else { b"EHLO c\r\n" });
        assert_eq!(stage.send(b"MAIL FROM:<a@b>\r\n"), "250 2.1.0 sender ok\r\n");
        for number in 0..recipients {
            let asked = stage.send(format!("RCPT TO:<u{number}@x.test>\r\n").as_bytes());
            assert_eq!(asked, format!("{{Recipient {{ address: \"u{number}@x.test\" }}}}"));
            let accepted = RecipientAnswer::Accepted(vec![format!("u{number}@x.test")]);
            let said = stage.answer(Reply::Answer(Answer::Recipient(accepted)));
            assert_eq!(said, "250 2.1.5 recipient ok\r\n");
        }
        stage
    }

    #[test]
    fn commands_behind_starttls_never_pass_for_protected_ones() {
        let mut stage = stage(Service::Smtp);
        let said = stage.send(b"HELO c\r\nSTARTTLS\r\nMAIL FROM:<evil@x>\r\n");
        let refused = format!("{}\r\n{}\r\n{{Close}}", reply::BEHIND_STARTTLS, reply::CLOSING);
        assert_eq!(said, format!("250 mx.test greets c\r\n{refused}"));
        assert_eq!(stage.send(b"NOOP\r\n"), "");
    }

    #[test]
    fn addresses_cannot_be_guessed_without_end_but_by_our_own_agents() {
        for (service, guesses, ends) in [
            (Service::Smtp, SMTP_UNKNOWN_RECIPIENTS_MAX, true),
            (Service::Lmtp, SMTP_UNKNOWN_RECIPIENTS_MAX + 1, false),
        ] {
            let mut stage = addressed(service, 0);
            let mut guess = || {
                stage.send(b"RCPT TO:<guess@x.test>\r\n");
                stage.answer(Reply::Answer(Answer::Recipient(RecipientAnswer::Unknown)))
            };
            for _ in 1..guesses {
                assert_eq!(guess(), format!("{}\r\n", reply::NO_SUCH_USER));
            }
            let goodbye = if ends { format!("{}\r\n{{Close}}", reply::GIVE_UP) } else { String::new() };
            assert_eq!(guess(), format!("{}\r\n{goodbye}", reply::NO_SUCH_USER));
        }
    }

    #[test]
    fn what_the_owner_says_of_a_recipient_is_told() {
        let answers = [
            (Answer::Recipient(RecipientAnswer::Unknown), reply::NO_SUCH_USER),
            (Answer::Recipient(RecipientAnswer::Loop), reply::ALIAS_LOOP),
            (Answer::Recipient(RecipientAnswer::Full), reply::NO_ROOM),
            (Answer::Recipient(RecipientAnswer::OverQuota), reply::OVER_QUOTA),
            (Answer::Unavailable, reply::TRY_LATER),
        ];
        for (answer, expected) in answers {
            let mut stage = addressed(Service::Smtp, 0);
            // What is pipelined behind the question waits for its answer.
            assert!(!stage.send(b"RCPT TO:<u@x.test>\r\nNOOP\r\n").contains("250"));
            assert_eq!(stage.input.bytes(), b"NOOP\r\n");
            let said = stage.answer(Reply::Answer(answer));
            assert_eq!(said, format!("{expected}\r\n{}\r\n", reply::OK));
        }
        let mut stage = addressed(Service::Smtp, 0);
        assert!(stage.send(b"RCPT TO:<Postmaster>\r\n").contains("postmaster@x.test"));
    }

    #[test]
    fn a_long_message_is_looked_at_a_step_at_a_time() {
        for service in [Service::Smtp, Service::Submission, Service::Lmtp] {
            let mut stage = if service == Service::Submission {
                // What a login leads to.
                let mut stage = addressed(Service::Smtp, 1);
                stage.session.peer.service = service;
                stage
            } else {
                addressed(service, 1)
            };
            stage.server.message_bytes_max = 2_000_000;
            assert!(stage.send(b"DATA\r\n").starts_with("354"));
            let line = "x".repeat(998) + "\r\n";
            let message = format!("Subject: s\r\n\r\n{}.\r\nNOOP\r\n", line.repeat(1_000));
            let mut said = stage.send(message.as_bytes());
            let mut yields = 0;
            while said == "{Yield}" {
                yields += 1;
                assert!(stage.session.buffered() > 1_000_000, "it counts as received");
                assert_eq!(stage.send(b""), "", "what is pipelined behind it waits");
                said = stage.call(|session, _, cx| session.resume(1, cx));
            }
            assert_eq!(said, "{Deliver 17E1582CA00-1-1}");
            let octets = 1_000_000 / crate::limits::SUMMARISE_STEP_BYTES;
            assert!((octets..=4 * octets).contains(&yields), "{yields} steps");
        }
    }

    #[test]
    fn one_answer_for_all_is_good_only_if_all_is_good() {
        let later = Delivered::TryLater { disk_full: false };
        let full = Delivered::TryLater { disk_full: true };
        let over = Delivered::OverQuota { others_stored: false };
        let cases = [
            (vec![Delivered::Stored, Delivered::Stored], "250 2.0.0 stored as 17E1582CA00-1-1"),
            (vec![Delivered::Stored, later.clone()], reply::TRY_LATER),
            (vec![later.clone(), full.clone()], reply::NO_ROOM),
            (vec![over.clone(), Delivered::Unknown], reply::OVER_QUOTA),
            (vec![over.clone(), Delivered::Stored], reply::OVER_QUOTA_FOR_SOME),
            (vec![Delivered::OverQuota { others_stored: true }], reply::OVER_QUOTA_FOR_SOME),
            (vec![later.clone(), over, Delivered::Stored], reply::TRY_LATER),
            (vec![Delivered::Unknown, Delivered::Stored], reply::TRY_LATER),
            (vec![Delivered::Unknown, Delivered::Unknown], reply::NO_SUCH_USER),
        ];
        for (results, expected) in cases {
            let mut stage = addressed(Service::Smtp, 2);
            let said = stage.send(b"DATA\r\nx\r\n.\r\nNOOP\r\n");
            assert!(said.ends_with("{Deliver 17E1582CA00-1-1}"), "{said}");
            let said = stage.answer(Reply::Delivered(results));
            assert_eq!(said, format!("{expected}\r\n{}\r\n", reply::OK));
        }
        let mut stage = addressed(Service::Lmtp, 4);
        stage.send(b"DATA\r\nx\r\n.\r\n");
        let said = stage.answer(Reply::Delivered(vec![later, full, Delivered::Unknown, Delivered::Stored]));
        let stored = "250 2.1.5 <u3@x.test> stored as 17E1582CA00-1-1";
        let expected = [reply::TRY_LATER, reply::NO_ROOM, reply::NO_SUCH_USER, stored, ""].join("\r\n");
        assert_eq!(said, expected);
    }

    #[test]
    fn no_message_begins_without_memory_for_it() {
        let mut stage = addressed(Service::Smtp, 1);
        stage.send(b"DATA\r\nabc");
        assert!(stage.session.buffered() >= 3);
        stage.crowded = true;
        // The one that has begun may end.
        assert!(stage.send(b"\r\n.\r\n").contains("{Deliver "));
        assert_eq!(stage.session.buffered(), 0);
        let said = stage.answer(Reply::Delivered(vec![Delivered::Stored]));
        assert!(said.starts_with("250 "));
        assert_eq!(stage.send(b"MAIL FROM:<a@b>\r\n"), format!("{}\r\n", reply::NO_ROOM));

        let mut stage = addressed(Service::Smtp, 1);
        stage.crowded = true;
        assert_eq!(stage.send(b"RCPT TO:<b@x.test>\r\n"), format!("{}\r\n", reply::NO_ROOM));
        let said = stage.send(b"DATA\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
        let expected = [reply::NO_ROOM, reply::NO_ROOM, reply::BAD_SEQUENCE, reply::OK, ""].join("\r\n");
        assert_eq!(said, expected);
        assert_eq!(stage.session.buffered(), 0);
    }

    #[test]
    fn an_envelope_is_bounded_by_the_accounts_behind_it() {
        let mut stage = addressed(Service::Smtp, 0);
        let team: Vec<String> = (0..SMTP_ACCOUNTS_MAX / 4).map(|member| format!("{member}@x.test")).collect();
        let mut name_again = |expected: &str| {
            stage.send(b"RCPT TO:<team@x.test>\r\n");
            let accepted = RecipientAnswer::Accepted(team.clone());
            let said = stage.answer(Reply::Answer(Answer::Recipient(accepted)));
            assert_eq!(said, format!("{expected}\r\n"));
            stage.session.buffered()
        };
        let held = (0..4).map(|_| name_again(reply::RECIPIENT_OK)).last();
        // What the envelope holds is counted, and it holds no more.
        assert!(held >= Some(SMTP_ACCOUNTS_MAX * "1@x.test".len()), "{held:?}");
        assert_eq!(Some(name_again(reply::TOO_MANY_RECIPIENTS)), held);
    }

    #[test]
    fn a_message_that_goes_in_circles_is_stopped() {
        for (more, end) in [(0, "{Deliver 17E1582CA00-1-1}"), (1, "554 5.4.6 message goes in circles\r\n")] {
            let mut stage = addressed(Service::Smtp, 1);
            let received = "Received: by x\r\n".repeat(crate::limits::RECEIVED_FIELDS_MAX + more);
            let said = stage.send(format!("DATA\r\n{received}\r\n.\r\n").as_bytes());
            assert!(said.ends_with(end), "{said}");
        }
    }

    #[test]
    fn silence_and_waiting_are_told_apart() {
        let mut stage = addressed(Service::Smtp, 1);
        let patience = |stage: &mut Stage<SmtpSession>| {
            let mut patience = Patience::Waiting;
            stage.call(|session, _, cx| patience = session.patience(cx.server));
            patience
        };
        assert_eq!(patience(&mut stage), Patience::Ms(4));
        stage.send(b"DATA\r\nx\r\n");
        assert_eq!(patience(&mut stage), Patience::Ms(4));
        stage.send(b".\r\n");
        assert_eq!(patience(&mut stage), Patience::Waiting);
    }
}
