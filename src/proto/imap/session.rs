//! One IMAP connection.
//!
//! *Owns*: the order of commands: frame, parse, check, run, complete. *Promises*: one command at a time;
//! its completion comes after the view's news and after everything it speaks of is durable. *Assumes*:
//! commands keep to [`Step`]. *Never*: knows what a command does.
//!
//! ```text
//!                    ┌────────────── Step: Commit Warm Yield Room Ask Line ─────────────┐
//!                    ▼                                                                  │
//!  Ready ──command──► Running { waiting for } ──commit, reply, resume, line, push──► step
//!    ▲                    │ Step::Done                                   │ Step::Leave
//!    │                    ▼                                              ▼
//!    └──all told────── Ending ──view lost, draining, too many mistakes──► Closed
//!
//!  Ready ──the mailbox is another user's──► Moving ──Arrived──► Running … Returning ──Arrived──► Ending
//!
//!  Running ──STARTTLS answered──► Handshake ──TLS is on──► Ready
//! ```

use bytes::Bytes;
use ringpost_engine::ids::{AccountId, Lsn};

use super::cmd::Running;
use super::command::{Command, Verb};
use super::framer::{Bounds, CommandFramer, Frame, Literal};
use super::pace::{self, Pace};
use super::parse::{self, Fault, ParseError};
use super::reply::{Reply, Status};
use super::state::{Core, Step, Wake};
use super::table::{self, Rule, States};
use crate::limits::{
    BAD_COMMANDS_AFTER_LOGIN_MAX, BAD_COMMANDS_BEFORE_LOGIN_MAX, IMAP_LITERAL_UNASKED_BYTES_MAX,
    LOGIN_FAILURES_MAX, OUTPUT_BYTES_MAX, SASL_LINE_BYTES_MAX,
};
use crate::proto::framer::{Framed, LineEnd, LineFramer};
use crate::proto::{self, Committed, Cx, Fact, Input, Output, Patience, Peer, Server, Session};

/// What a running command waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// `resume`: warmed, its turn, or room.
    Resume,
    /// `on_commit` of this position.
    Commit(Lsn),
    /// `on_reply`.
    Reply,
    /// A line of the client.
    Line,
    /// A literal that is streamed, and what follows it.
    Message,
}

#[derive(Debug)]
enum Stage {
    /// Between two commands.
    Ready,
    /// A command is under way.
    Running { running: Box<Running>, rule: Rule, wait: Wait },
    /// The session is on its way to where a command has to run.
    Moving { errand: Box<Errand>, rule: Rule },
    /// A command is complete; the session is on its way back to where it stays.
    Returning { reply: Reply, rule: Rule },
    /// A command is complete but not all of the view's news is out.
    Ending { reply: Reply, rule: Rule },
    /// STARTTLS is answered, the handshake is under way.
    Handshake,
    /// BYE is said.
    Closed,
}

/// What is done on arrival.
#[derive(Debug)]
struct Errand {
    verb: Verb,
    wake: Wake,
}

/// The protocol's state for one connection.
#[derive(Debug)]
pub struct ImapSession {
    core: Core,
    framer: CommandFramer,
    lines: LineFramer,
    stage: Stage,
    /// Tag of the command under way.
    tag: Bytes,
    /// Bad commands: all of them before login, those in a row after it.
    bad: u32,
    commands: u64,
    /// When the command under way says that it is.
    pace: Pace,
    /// Why it ends when no command is half done.
    draining: Option<&'static str>,
}

impl ImapSession {
    /// A session for a connection that was just accepted.
    pub fn new(peer: Peer) -> ImapSession {
        ImapSession {
            core: Core::new(peer),
            framer: CommandFramer::new(),
            lines: line_framer(),
            stage: Stage::Ready,
            tag: Bytes::new(),
            bad: 0,
            commands: 0,
            pace: Pace::default(),
            draining: None,
        }
    }

    fn state(&self) -> States {
        match (&self.core.user, &self.core.view) {
            (None, _) => States::NOT_AUTHENTICATED,
            (Some(_), None) => States::AUTHENTICATED,
            (Some(_), Some(_)) => States::SELECTED,
        }
    }

    /// Takes one unit from the input. Whether to go on.
    fn feed_one(&mut self, input: &mut Input, cx: &mut Cx<'_>) -> bool {
        match &self.stage {
            Stage::Ready => self.feed_frame(input, cx),
            Stage::Running { wait: Wait::Message, .. } => self.feed_frame(input, cx),
            Stage::Running { wait: Wait::Line, .. } => match self.lines.next(input) {
                Framed::Need => false,
                Framed::Line(line) => {
                    self.wake(Wake::Line(line), cx);
                    true
                }
                Framed::TooLong | Framed::BareLf => {
                    self.goodbye("Line too long");
                    false
                }
            },
            Stage::Closed => {
                input.clear();
                false
            }
            Stage::Running { .. } | Stage::Moving { .. } | Stage::Returning { .. } => false,
            Stage::Ending { .. } | Stage::Handshake => false,
        }
    }

    fn feed_frame(&mut self, input: &mut Input, cx: &mut Cx<'_>) -> bool {
        let mut bounds = if self.core.user.is_some() { Bounds::AFTER_LOGIN } else { Bounds::BEFORE_LOGIN };
        if cx.server.imap.literal_minus {
            bounds.unasked_bytes = IMAP_LITERAL_UNASKED_BYTES_MAX;
        }
        match self.framer.next(input, bounds) {
            Frame::Need => return false,
            Frame::Continue => self.core.out.line("+ Go on"),
            Frame::Command(octets) => self.read(&octets, None, input, cx),
            Frame::Message { head, literal } => self.read(&head, Some(literal), input, cx),
            Frame::Data(octets) => {
                if let Stage::Running { running, .. } = &mut self.stage {
                    running.message(&octets);
                }
            }
            Frame::Text { text, literal } => self.wake(Wake::Text { text, literal }, cx),
            Frame::Refused { tag, why } => {
                // In the middle of a command the framer has forgotten its tag.
                let tag = match &self.stage {
                    Stage::Running { .. } => Some(self.tag.clone()),
                    _ => tag,
                };
                self.refuse(ParseError { tag, fault: Fault::Bad(why.text()) }, cx);
            }
            Frame::Close => self.goodbye("Too much input that cannot be used"),
        }
        true
    }

    /// Reads a framed command, up to `literal` if that one is streamed, and starts it.
    fn read(&mut self, octets: &Bytes, literal: Option<Literal>, input: &Input, cx: &mut Cx<'_>) {
        match (parse::command(octets, self.core.enabled.utf8_names()), literal) {
            (Err(error), _) => self.refuse(error, cx),
            (Ok(command), None) => self.begin(command, Wake::Go, input, cx),
            (Ok(command), literal) => {
                self.begin(command, Wake::Text { text: Bytes::new(), literal }, input, cx)
            }
        }
    }

    /// Starts a command, if it is allowed now.
    fn begin(&mut self, command: Command, wake: Wake, input: &Input, cx: &mut Cx<'_>) {
        let rule = table::of(&command.verb);
        self.commands += 1;
        self.tag = kept(&command.tag);
        if !rule.states.allow(self.state()) {
            return self.end(Reply::bad("Not allowed in this state"), rule, cx);
        }
        if self.core.enabled.uidonly && table::names_numbers(&command.verb) {
            return self.end(Reply::bad("[UIDREQUIRED] UIDs only, as enabled"), rule, cx);
        }
        // A line that an earlier command did not wait for to its end is none of this one's.
        self.lines = line_framer();
        self.core.pipelined = !input.is_empty();
        self.pace = Pace::begin(cx.now.mono_ms);
        match self.core.way_to(table::place(&command.verb)) {
            Some(address) => self.move_to(address, Errand { verb: command.verb, wake }, rule),
            None => self.start(command.verb, wake, rule, cx),
        }
    }

    /// Starts a command where it has to run.
    fn start(&mut self, verb: Verb, wake: Wake, rule: Rule, cx: &mut Cx<'_>) {
        let mut running = Box::new(Running::new(verb, &self.tag, self.core.enabled));
        self.core.absorb(cx);
        let step = running.step(wake, &mut self.core, cx);
        self.take_step(running, rule, step, cx);
    }

    /// Goes to the shard of an address and does `errand` there.
    fn move_to(&mut self, address: String, errand: Errand, rule: Rule) {
        self.core.here.clone_from(&address);
        self.core.out.push(Output::Handoff { address });
        self.stage = Stage::Moving { errand: Box::new(errand), rule };
    }

    /// The session is where it was going.
    fn arrive(&mut self, cx: &mut Cx<'_>) {
        match std::mem::replace(&mut self.stage, Stage::Ready) {
            Stage::Moving { errand, rule } => self.start(errand.verb, errand.wake, rule, cx),
            Stage::Returning { reply, rule } => {
                self.core.absorb(cx);
                self.end(reply, rule, cx);
            }
            other => self.stage = other,
        }
    }

    /// Answers what could not be understood.
    fn refuse(&mut self, error: ParseError, cx: &mut Cx<'_>) {
        let reply = match (error.fault, &error.tag) {
            (fault, Some(_)) => Reply::from(fault),
            // rfc3501#7.1.3: untagged where there is no tag, which is always a BAD.
            (Fault::Bad(text) | Fault::Limit(text) | Fault::Cannot(text), None) => Reply::bad(text),
        };
        self.tag = error.tag.map_or(Bytes::from_static(b"*"), |tag| kept(&tag));
        // It may have been a numbered command, so numbers stand.
        let rule = Rule { name: "", states: States::ANY, numbers_stand: true };
        self.end(reply, rule, cx);
    }

    /// Calls the running command.
    fn wake(&mut self, wake: Wake, cx: &mut Cx<'_>) {
        match std::mem::replace(&mut self.stage, Stage::Ready) {
            Stage::Running { mut running, rule, .. } => {
                self.core.absorb(cx);
                let step = running.step(wake, &mut self.core, cx);
                self.take_step(running, rule, step, cx);
            }
            Stage::Ending { reply, rule } => self.end(reply, rule, cx),
            other => self.stage = other,
        }
    }

    fn take_step(&mut self, running: Box<Running>, rule: Rule, step: Step, cx: &mut Cx<'_>) {
        if matches!(step, Step::Commit(_) | Step::Warm(_) | Step::Yield)
            && let Some(progress) = running.progress()
            && self.pace.is_due(cx.now.mono_ms)
        {
            pace::put(self.core.out.text(), &self.tag, progress);
        }
        let wait = match step {
            Step::Done(_) if running.is_news() => {
                self.stage = Stage::Ready;
                return self.say_goodbye_if_due();
            }
            Step::Done(reply) => return self.end(reply, rule, cx),
            Step::Leave(reply) => {
                self.complete(&reply, rule);
                return self.close();
            }
            Step::Then(reply, output) => {
                self.complete(&reply, rule);
                self.core.out.push(output);
                return;
            }
            Step::Handshake(reply) => {
                self.complete(&reply, rule);
                self.core.out.push(Output::StartTls);
                self.stage = Stage::Handshake;
                return;
            }
            Step::Commit(lsn) => {
                self.core.out.push(Output::AwaitCommit(lsn));
                Wait::Commit(lsn)
            }
            Step::Warm(extents) => {
                self.core.out.push(Output::Warm(extents));
                Wait::Resume
            }
            Step::Yield => {
                self.core.out.push(Output::Yield);
                Wait::Resume
            }
            Step::Room => Wait::Resume,
            Step::Ask(output) => {
                self.core.out.push(output);
                Wait::Reply
            }
            Step::Line => Wait::Line,
            Step::Literal => {
                if self.framer.accept() {
                    self.core.out.line("+ Go on");
                }
                Wait::Message
            }
        };
        self.stage = Stage::Running { running, rule, wait };
    }

    /// Tells the view's news, then completes the command.
    fn end(&mut self, reply: Reply, rule: Rule, cx: &mut Cx<'_>) {
        // A literal that was announced and not asked for is none of the next command.
        self.framer.refuse();
        if let Some(address) = self.core.way_back() {
            self.core.here.clone_from(&address);
            self.core.out.push(Output::Handoff { address });
            self.stage = Stage::Returning { reply, rule };
            return;
        }
        if !self.core.tell(cx, !rule.numbers_stand) {
            self.stage = Stage::Ending { reply, rule };
            return;
        }
        self.core.claim_recent(cx);
        self.stage = Stage::Ready;
        self.complete(&reply, rule);
        let logged_in = self.core.user.is_some();
        match reply.status {
            Status::Bad => self.bad += 1,
            _ if logged_in => self.bad = 0,
            _ => {}
        }
        let bad_max = if logged_in { BAD_COMMANDS_AFTER_LOGIN_MAX } else { BAD_COMMANDS_BEFORE_LOGIN_MAX };
        if self.bad >= bad_max {
            self.goodbye("Too many bad commands");
        } else if self.core.login_failures >= LOGIN_FAILURES_MAX {
            self.goodbye("Too many failed logins");
        } else {
            self.say_goodbye_if_due();
            self.tell_news(cx);
        }
    }

    /// What NOTIFY asked to be told of between two commands.
    fn tell_news(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.stage, Stage::Ready) && self.core.watch.is_some() {
            let mut news = Box::new(Running::news());
            let step = news.step(Wake::Go, &mut self.core, cx);
            self.take_step(news, NEWS, step, cx);
        }
    }

    fn say_goodbye_if_due(&mut self) {
        if self.core.view.as_ref().is_some_and(|view| view.is_lost()) {
            // rfc2180#3.3, #4.1: a client whose numbers cannot be kept right has to begin anew.
            self.goodbye("The selected mailbox is gone or has changed too much");
        } else if let Some(why) = self.draining {
            self.goodbye(why);
        }
    }

    fn complete(&mut self, reply: &Reply, rule: Rule) {
        let cut = self.core.cut.take();
        let out = &mut self.core.out;
        let code = cut.and_then(|cut| cut.tell(reply, out)).unwrap_or_default();
        out.put(&self.tag);
        out.put(b" ");
        out.put(reply.status.name().as_bytes());
        out.put(b" ");
        out.put(code.as_bytes());
        if reply.text.is_empty() {
            out.put(rule.name.as_bytes());
            out.line(" completed");
        } else {
            out.line(&reply.text);
        }
    }

    fn goodbye(&mut self, why: &str) {
        self.core.out.put(b"* BYE ");
        self.core.out.line(why);
        self.close();
    }

    /// Ends the session as soon as nothing is half done.
    fn leave(&mut self, why: &'static str) {
        self.draining = Some(why);
        if self.is_interruptible() {
            self.goodbye(why);
        }
    }

    fn close(&mut self) {
        self.core.out.push(Output::Close);
        self.core.view = None;
        self.stage = Stage::Closed;
    }

    /// Whether nothing is half done, so that BYE would be clean.
    fn is_interruptible(&self) -> bool {
        matches!(self.stage, Stage::Ready | Stage::Running { wait: Wait::Line, .. })
    }
}

/// What is told between two commands is none: it has no completion.
const NEWS: Rule = Rule { name: "", states: States::ANY, numbers_stand: true };

/// For SASL responses and the end of IDLE.
fn line_framer() -> LineFramer {
    LineFramer::new(SASL_LINE_BYTES_MAX, LineEnd::Lenient)
}

/// A tag on its own: a slice of its command would keep all of that in memory until the next one.
fn kept(tag: &[u8]) -> Bytes {
    Bytes::copy_from_slice(tag)
}

impl Session for ImapSession {
    fn start(&mut self, cx: &mut Cx<'_>) {
        let capabilities = self.core.capabilities(cx);
        let out = &mut self.core.out;
        out.put(b"* OK [CAPABILITY ");
        out.put(&capabilities);
        out.put(b"] ");
        out.put(cx.server.hostname.as_bytes());
        out.line(" Ringpost ready");
    }

    fn feed(&mut self, input: &mut Input, cx: &mut Cx<'_>) {
        self.core.out.allow(OUTPUT_BYTES_MAX);
        while self.core.out.has_room() && self.feed_one(input, cx) {}
    }

    fn on_commit(&mut self, commit: Committed, cx: &mut Cx<'_>) {
        self.core.out.allow(OUTPUT_BYTES_MAX);
        if matches!(self.stage, Stage::Running { wait: Wait::Commit(lsn), .. } if lsn == commit.lsn) {
            self.wake(Wake::Committed(commit.outcome), cx);
        }
    }

    fn on_reply(&mut self, reply: proto::Reply, cx: &mut Cx<'_>) {
        self.core.out.allow(OUTPUT_BYTES_MAX);
        match (&self.stage, reply) {
            (Stage::Handshake, proto::Reply::TlsStarted) => {
                self.core.peer.tls = true;
                self.stage = Stage::Ready;
            }
            (Stage::Moving { .. } | Stage::Returning { .. }, proto::Reply::Arrived) => self.arrive(cx),
            (Stage::Running { wait: Wait::Reply, .. }, reply) => self.wake(Wake::Replied(reply), cx),
            _ => {}
        }
    }

    fn on_push(&mut self, cx: &mut Cx<'_>) {
        // Even where they may not be told.
        self.core.absorb(cx);
        let idle =
            matches!(&self.stage, Stage::Running { running, wait: Wait::Line, .. } if running.is_idle());
        if idle {
            self.wake(Wake::Go, cx);
        } else {
            self.tell_news(cx);
        }
    }

    fn resume(&mut self, room: usize, cx: &mut Cx<'_>) {
        self.core.out.allow(room);
        let waits = matches!(self.stage, Stage::Running { wait: Wait::Resume, .. } | Stage::Ending { .. });
        if waits && self.core.out.has_room() {
            self.wake(Wake::Go, cx);
        }
    }

    fn on_timeout(&mut self, _cx: &mut Cx<'_>) {
        // rfc3501#5.4
        self.goodbye("Autologout, idle for too long");
    }

    fn on_drain(&mut self, _cx: &mut Cx<'_>) {
        self.leave("Server is stopping");
    }

    fn on_depart(&mut self, _cx: &mut Cx<'_>) {
        self.leave("This account has moved within the server, connect again");
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.core.out.poll()
    }

    fn patience(&self, server: &Server) -> Patience {
        match &self.stage {
            Stage::Running { wait: Wait::Resume | Wait::Commit(_) | Wait::Reply, .. } => Patience::Waiting,
            Stage::Moving { .. } | Stage::Returning { .. } | Stage::Ending { .. } => Patience::Waiting,
            Stage::Handshake | Stage::Closed => Patience::Waiting,
            _ if self.core.user.is_none() => Patience::Ms(server.login_timeout_ms),
            _ => Patience::Ms(server.imap_idle_timeout_ms),
        }
    }

    fn watches(&self) -> Option<AccountId> {
        match &self.core.watch {
            Some(watch) if self.core.is_home() => Some(watch.account()),
            _ => self.core.view.as_ref().filter(|_| !self.core.is_away()).map(|view| view.account()),
        }
    }

    fn account(&self) -> Option<AccountId> {
        // Wherever it is: with the account goes what others granted to its user.
        self.core.user.as_ref().map(|user| user.account)
    }

    fn buffered(&self) -> usize {
        match &self.stage {
            Stage::Running { running, .. } => running.buffered(),
            _ => 0,
        }
    }

    fn facts(&self) -> Vec<Fact> {
        vec![
            ("user", self.core.user.as_ref().map_or_else(String::new, |user| user.address.clone())),
            ("login_failures", self.core.login_failures.to_string()),
            ("commands", self.commands.to_string()),
            ("fetched", self.core.fetched.to_string()),
        ]
    }
}
