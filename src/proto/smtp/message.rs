//! The message: from DATA or BDAT to the answers that end a transaction.
//!
//! *Owns*: receiving, checking, handing over and answering. *Promises*: 250 only when every recipient's copy
//! is durable; a refused message is read to its end first. *Assumes*: the shard stores once an account,
//! however often it is named. *Never*: answers for a recipient before its result is known.
//!
//! ```text
//!  DATA ─354─► Data ─── CRLF "." CRLF ───┐               ┌─ flaw, loop ─► refusals
//!  BDAT n ───► Chunk ─ n octets ─► 250   ├─► complete ───┤
//!  BDAT n LAST ► Chunk ─ n octets ───────┘               └─ Summarising ─ Deliver ─► Delivering ─ results ─► replies
//! ```
//!
//! SMTP has one answer for all recipients, and after MAIL there is no way to accept half of them. When some
//! copies are durable and others cannot be now, the answer is temporary: the client tries again and those who
//! have the message get it twice. The other choice would be to lose it. LMTP answers each recipient and has
//! no such case.

use ringpost_engine::ids::Now;
use ringpost_engine::limits::BODY_BYTES_MAX;

use super::bdat::{Chunk, LineEnds};
use super::body::{Body, Flaw};
use super::data::DataReader;
use super::envelope::{Message, Transaction};
use super::reply;
use super::session::{SmtpSession, State};
use super::trace::{self, HeaderFacts, Manner, Origin};
use crate::limits::{RECEIVED_FIELDS_MAX, SMTP_ADDED_BYTES_MAX};
use crate::proto::mime::Summariser;
use crate::proto::{Cx, Delivered, Delivery, Input, Output, Server, Service};

/// A complete message whose summary is being made.
#[derive(Debug)]
pub(super) struct Complete {
    transaction: Transaction,
    message: Message,
    message_id: String,
}

impl Complete {
    /// Memory held.
    pub fn held(&self) -> usize {
        self.transaction.held() + self.message.held()
    }
}

impl SmtpSession {
    pub(super) fn data(&mut self, cx: &Cx<'_>) {
        let refusal = match &self.transaction {
            None => Some(reply::BAD_SEQUENCE),
            // rfc3030#2: not after BDAT, and not for what only BDAT can carry.
            Some(transaction) if transaction.message.is_some() => Some(reply::BAD_SEQUENCE),
            Some(transaction) if transaction.binary => Some(reply::BINARY_NEEDS_BDAT),
            Some(transaction) if transaction.recipients.is_empty() => Some(reply::NO_RECIPIENTS),
            Some(_) if cx.crowded => Some(reply::NO_ROOM),
            Some(_) => None,
        };
        match refusal {
            Some(refusal) => self.refuse(refusal),
            None => {
                self.begin_message(cx);
                self.reply(reply::SEND_MESSAGE);
                self.state = State::Data(DataReader::default());
            }
        }
    }

    pub(super) fn bdat(&mut self, size: u64, last: bool, cx: &Cx<'_>) {
        let begins = self
            .transaction
            .as_ref()
            .is_some_and(|transaction| transaction.message.is_none() && !transaction.recipients.is_empty());
        if begins {
            self.begin_message(cx);
        }
        // Without a message the octets are counted all the same (rfc3030#2).
        self.state = State::Chunk(Chunk::new(size, last));
    }

    fn begin_message(&mut self, cx: &Cx<'_>) {
        self.transactions += 1;
        let queue_id = trace::queue_id(cx.now, self.peer.conn, self.transactions);
        let Some(transaction) = &self.transaction else { return };
        let hello = self.hello.as_ref();
        let manner = Manner {
            lmtp: self.peer.service == Service::Lmtp,
            extended: hello.is_some_and(|hello| hello.extended),
            utf8: transaction.smtputf8,
            tls: self.peer.tls,
            authenticated: self.user.is_some(),
        };
        let origin = Origin {
            helo: hello.map_or("unknown", |hello| &hello.name),
            address: &self.peer.address,
            hostname: &cx.server.hostname,
            protocol: &manner.keyword(),
            queue_id: &queue_id,
        };
        let only = match transaction.recipients.as_slice() {
            [recipient] => Some(recipient.named.as_str()),
            _ => None,
        };
        let trace = trace::fields(origin, &transaction.sender, only, cx.now);
        let mut body = Body::begin(trace, message_bytes_max(cx.server), transaction.size);
        if cx.crowded {
            body.spoil(Flaw::Crowded);
        }
        let message = Message {
            body,
            summariser: Summariser::new(),
            line_ends: LineEnds::default(),
            queue_id,
            refused: false,
        };
        if let Some(transaction) = &mut self.transaction {
            transaction.message = Some(message);
        }
    }

    /// Takes octets of a message in; the state says which.
    pub(super) fn receive(&mut self, input: &mut Input, cx: &mut Cx<'_>) {
        // What a submission lacks comes in front of it when it is complete: it is looked at then.
        let looks = self.peer.service != Service::Submission;
        let transaction = self.transaction.as_mut();
        let binary = transaction.as_ref().is_some_and(|transaction| transaction.binary);
        let message = transaction.and_then(|transaction| transaction.message.as_mut());
        match (&mut self.state, message) {
            (State::Data(reader), Some(message)) => {
                let (taken, ended) = reader.read(input.bytes(), &mut message.body);
                input.consume(taken);
                if looks && !ended {
                    message.look();
                }
                if ended {
                    self.state = State::Command;
                    self.complete(cx);
                }
            }
            (State::Chunk(chunk), message) => {
                let taken = chunk.take(input.len());
                if let Some(message) = message {
                    let octets = &input.bytes()[..taken];
                    if !binary {
                        message.line_ends.check(octets, &mut message.body);
                    }
                    message.body.add(octets);
                    if looks {
                        message.look();
                    }
                }
                input.consume(taken);
                if chunk.is_complete() {
                    let last = chunk.last;
                    self.state = State::Command;
                    self.chunk_complete(last, cx);
                }
            }
            _ => self.state = State::Command,
        }
    }

    /// A chunk is in. rfc3030#2: one reply a chunk; for the last one of LMTP one a recipient (rfc2033#4.3).
    fn chunk_complete(&mut self, last: bool, cx: &mut Cx<'_>) {
        if last {
            return self.complete(cx);
        }
        let Some(message) = self.transaction.as_mut().and_then(|transaction| transaction.message.as_mut())
        else {
            let recipients_wanted = self.transaction.is_some();
            return self.refuse(if recipients_wanted { reply::NO_RECIPIENTS } else { reply::BAD_SEQUENCE });
        };
        let refusal = match message.body.flaw() {
            // Chunks that were in the pipeline behind the refused one.
            Some(_) if message.refused => reply::BAD_SEQUENCE,
            Some(flaw) => refusal(flaw),
            None => return self.reply(reply::CHUNK_OK),
        };
        message.refused = true;
        self.reply(refusal);
    }

    /// The message has ended: hand it over or refuse it.
    fn complete(&mut self, cx: &mut Cx<'_>) {
        let Some(mut transaction) = self.transaction.take() else {
            return self.chunks_for_nobody(reply::BAD_SEQUENCE);
        };
        let Some(mut message) = transaction.message.take() else {
            return self.chunks_for_nobody(reply::NO_RECIPIENTS);
        };
        if !transaction.binary {
            message.line_ends.end(&mut message.body);
        }
        part_from_trace(&mut message);
        let mut facts = HeaderFacts::of(message.body.octets());
        let refusal = match message.body.flaw() {
            Some(_) if message.refused && self.peer.service != Service::Lmtp => Some(reply::BAD_SEQUENCE),
            Some(flaw) => Some(refusal(flaw)),
            // rfc5321#6.3
            None if facts.received > RECEIVED_FIELDS_MAX => Some(reply::MAIL_LOOP),
            None => None,
        };
        if let Some(refusal) = refusal {
            return self.answer_all(refusal, transaction.recipients.len());
        }
        if self.peer.service == Service::Submission {
            let fields = facts.complete(&cx.server.hostname, &message.queue_id, cx.now);
            message.insert(fields.as_bytes());
        }
        self.hand_over(Box::new(Complete { transaction, message, message_id: facts.message_id }), cx.now);
    }

    /// Goes on with the summary of a complete message, and hands it over when that is made.
    pub(super) fn hand_over(&mut self, complete: Box<Complete>, now: Now) {
        let Complete { transaction, message, message_id } = *complete;
        match message.summariser.finish(message.body.whole()) {
            Ok(summary) => {
                let octets = message.body.freeze();
                self.state = State::Delivering {
                    queue_id: message.queue_id.clone(),
                    named: transaction.recipients.iter().map(|recipient| recipient.named.clone()).collect(),
                    bytes: octets.len() as u64,
                };
                self.out.push(Output::Deliver(Box::new(Delivery {
                    queue_id: message.queue_id,
                    sender: transaction.sender,
                    message_id,
                    summary: summary.encode(),
                    parts: vec![octets],
                    recipients: transaction.recipients,
                    internal_ms: now.unix_ms,
                })));
            }
            Err(summariser) => {
                let message = Message { summariser, ..message };
                self.state = State::Summarising(Box::new(Complete { transaction, message, message_id }));
                self.out.push(Output::Yield);
            }
        }
    }

    /// The last chunk of a message that has no recipient. rfc2033#4.3: LMTP answers for nobody then.
    fn chunks_for_nobody(&mut self, refusal: &str) {
        if self.peer.service != Service::Lmtp {
            self.refuse(refusal);
        }
    }

    /// The same answer for the message, or in LMTP for each of its recipients.
    fn answer_all(&mut self, answer: &str, recipients: usize) {
        let times = if self.peer.service == Service::Lmtp { recipients } else { 1 };
        for _ in 0..times {
            self.reply(answer);
        }
    }

    pub(super) fn delivered(&mut self, queue_id: &str, named: &[String], bytes: u64, results: &[Delivered]) {
        let stored = results.iter().filter(|&result| *result == Delivered::Stored).count();
        if stored > 0 {
            self.bad_commands = 0;
            self.unknown_recipients = 0;
            self.tally.messages += 1;
            self.tally.recipients += stored as u64;
            self.tally.bytes += bytes;
        }
        if self.peer.service == Service::Lmtp {
            for (recipient, result) in named.iter().zip(results) {
                self.reply(match result {
                    Delivered::Stored => format!("250 2.1.5 <{recipient}> stored as {queue_id}"),
                    refused => not_stored(refused).to_owned(),
                });
            }
        } else if stored == results.len() {
            self.reply(format!("250 2.0.0 stored as {queue_id}"));
        } else if results.iter().all(|result| *result == Delivered::Unknown) {
            self.reply(reply::NO_SUCH_USER);
        } else {
            self.reply(reason(results));
        }
    }
}

/// Octets of the largest message taken: what the server adds must not make it too large for the store.
pub(super) fn message_bytes_max(server: &Server) -> usize {
    server.message_bytes_max.min(BODY_BYTES_MAX - SMTP_ADDED_BYTES_MAX)
}

/// A first line that begins with white space would go on with the last of our fields (rfc5322#2.2.3): such a
/// message has no header, which an empty line says.
fn part_from_trace(message: &mut Message) {
    if let Some(b' ' | b'\t') = message.body.octets().first() {
        message.insert(b"\r\n");
    }
}

fn refusal(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::TooLarge => reply::TOO_LARGE,
        Flaw::BareLineEnd => reply::BARE_LINE_END,
        Flaw::Crowded => reply::NO_ROOM,
    }
}

/// The one reply for all recipients when not all have the message.
fn reason(results: &[Delivered]) -> &'static str {
    let is_later = |result: &&Delivered| matches!(result, Delivered::TryLater { .. });
    let over = results.iter().filter(|result| matches!(result, Delivered::OverQuota { .. }));
    if results.contains(&Delivered::TryLater { disk_full: true }) {
        return reply::NO_ROOM;
    }
    if results.iter().any(|result| is_later(&result)) || over.clone().next().is_none() {
        return reply::TRY_LATER;
    }
    let some_have_it = results.contains(&Delivered::Stored)
        || over.clone().any(|result| *result == Delivered::OverQuota { others_stored: true });
    if some_have_it { reply::OVER_QUOTA_FOR_SOME } else { reply::OVER_QUOTA }
}

fn not_stored(result: &Delivered) -> &'static str {
    match result {
        Delivered::TryLater { disk_full: true } => reply::NO_ROOM,
        Delivered::OverQuota { others_stored: false } => reply::OVER_QUOTA,
        Delivered::OverQuota { others_stored: true } => reply::OVER_QUOTA_FOR_SOME,
        Delivered::Unknown => reply::NO_SUCH_USER,
        Delivered::TryLater { disk_full: false } | Delivered::Stored => reply::TRY_LATER,
    }
}
