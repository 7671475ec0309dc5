//! The mail transaction: who sends to whom.
//!
//! *Owns*: MAIL, RCPT, RSET and the policy of who may send what (rfc5321#3.3, rfc6409#6.1). *Promises*: a
//! recipient is accepted only when its owner would take mail for it now. *Assumes*: commands are well-formed.
//! *Never*: reads a message.
//!
//! ```text
//!  none ── MAIL ──► Transaction ── RCPT ──► Asking(recipient) ── answer ──► Transaction
//! ```

use super::bdat::LineEnds;
use super::body::Body;
use super::command::Mail;
use super::message::message_bytes_max;
use super::path::{Mailbox, Path};
use super::reply;
use super::session::{SmtpSession, State};
use crate::limits::{SMTP_ACCOUNTS_MAX, SMTP_UNKNOWN_RECIPIENTS_MAX};
use crate::proto::mime::Summariser;
use crate::proto::{Answer, Ask, Cx, DeliveryRecipient, Output, RecipientAnswer, Server, Service};
use ringpost_engine::ids::normalise_address;

/// A transaction between MAIL and its end.
#[derive(Debug)]
pub struct Transaction {
    /// The reverse-path's text; empty for `<>`.
    pub sender: String,
    /// `SIZE=`, for a first reservation.
    pub size: Option<u64>,
    /// `BODY=BINARYMIME`.
    pub binary: bool,
    /// `SMTPUTF8`.
    pub smtputf8: bool,
    /// Accepted recipients, in order, repeated as they were: each is answered, the shard stores once an
    /// account.
    pub recipients: Vec<DeliveryRecipient>,
    /// Accounts behind them.
    accounts: usize,
    /// Octets that they hold in memory.
    envelope_bytes: usize,
    /// The message, from DATA or the first BDAT on.
    pub message: Option<Message>,
}

impl Transaction {
    /// Takes a recipient in; whether there was room for the accounts behind it.
    fn add(&mut self, recipient: DeliveryRecipient) -> bool {
        let accounts = &recipient.accounts;
        if accounts.len() > SMTP_ACCOUNTS_MAX - self.accounts {
            return false;
        }
        self.accounts += accounts.len();
        self.envelope_bytes += size_of::<DeliveryRecipient>() + recipient.named.len();
        self.envelope_bytes +=
            accounts.iter().map(|account| size_of::<String>() + account.len()).sum::<usize>();
        self.recipients.push(recipient);
        true
    }

    /// Memory that recipients and message hold.
    pub fn held(&self) -> usize {
        self.envelope_bytes + self.message.as_ref().map_or(0, Message::held)
    }
}

/// A message of a transaction that is arriving or on its way.
#[derive(Debug)]
pub struct Message {
    /// Its octets.
    pub body: Body,
    /// Its summary in the making.
    pub summariser: Summariser,
    /// For chunks.
    pub line_ends: LineEnds,
    /// Its queue id.
    pub queue_id: String,
    /// A chunk of it was refused: what else comes of it is only counted.
    pub refused: bool,
}

impl Message {
    /// Memory held.
    pub fn held(&self) -> usize {
        match self.body.held() {
            0 => 0,
            held => held + self.summariser.held(),
        }
    }

    /// Looks at some of what has come, so that little is left to do when all has. What falls behind waits for then.
    pub fn look(&mut self) {
        if self.body.flaw().is_none() {
            self.summariser.advance(self.body.whole());
        }
    }

    /// Puts fields in front of the client's octets: nothing that was looked at stands where it stood.
    pub fn insert(&mut self, fields: &[u8]) {
        self.body.insert(fields);
        self.summariser = Summariser::new();
    }
}

impl SmtpSession {
    pub(super) fn mail(&mut self, mail: Mail, cx: &mut Cx<'_>) {
        if let Err(refusal) = self.may_send(&mail, cx) {
            self.in_vain =
                !matches!(refusal, reply::BAD_SEQUENCE | reply::AUTH_REQUIRED | reply::TLS_REQUIRED);
            return self.refuse(refusal);
        }
        self.in_vain = false;
        self.transaction = Some(Transaction {
            sender: mail.sender.text().to_owned(),
            size: mail.size,
            binary: mail.binary,
            smtputf8: mail.smtputf8,
            recipients: Vec::new(),
            accounts: 0,
            envelope_bytes: 0,
            message: None,
        });
        self.reply(reply::SENDER_OK);
    }

    fn may_send(&self, mail: &Mail, cx: &Cx<'_>) -> Result<(), &'static str> {
        let server = cx.server;
        if self.hello.is_none() || self.transaction.is_some() {
            return Err(reply::BAD_SEQUENCE);
        }
        if self.peer.service == Service::Submission {
            match &self.user {
                None if !self.private(server) => return Err(reply::TLS_REQUIRED),
                None => return Err(reply::AUTH_REQUIRED),
                Some(user) if !is_own(user, &mail.sender, server) => return Err(reply::NOT_YOUR_ADDRESS),
                Some(_) => {}
            }
        } else if mail.auth {
            return Err(reply::BAD_PARAMETER);
        }
        if !mail.smtputf8 && !mail.sender.is_ascii() {
            return Err(reply::NEEDS_SMTPUTF8);
        }
        // rfc1870#6.1: as early as the client tells.
        if mail.size.is_some_and(|size| size > message_bytes_max(server) as u64) {
            return Err(reply::TOO_LARGE);
        }
        if cx.crowded { Err(reply::NO_ROOM) } else { Ok(()) }
    }

    pub(super) fn rcpt(&mut self, path: Path, cx: &mut Cx<'_>) {
        match self.may_receive(&path, cx) {
            Ok(address) => {
                self.state = State::AskingRecipient { named: path.text().to_owned() };
                self.out.push(Output::Ask(Ask::Recipient { address }));
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// The address to ask about.
    fn may_receive(&self, path: &Path, cx: &Cx<'_>) -> Result<String, &'static str> {
        let server = cx.server;
        let transaction = match &self.transaction {
            Some(transaction) if transaction.message.is_none() => transaction,
            _ => return Err(reply::BAD_SEQUENCE),
        };
        if !transaction.smtputf8 && !path.is_ascii() {
            return Err(reply::NEEDS_SMTPUTF8);
        }
        if transaction.recipients.len() >= server.recipients_max {
            return Err(reply::TOO_MANY_RECIPIENTS);
        }
        if cx.crowded {
            return Err(reply::NO_ROOM);
        }
        match path {
            Path::Null => Err(reply::BAD_RECIPIENT),
            // rfc5321#4.5.1: taken without a domain; whoever reads it is the postmaster of the first domain,
            // an account or an alias that the operator makes. Mail that nobody reads is refused rather than
            // swallowed.
            Path::Postmaster => match server.domains.first() {
                Some(domain) => Ok(format!("postmaster@{domain}")),
                None => Err(reply::NO_SUCH_USER),
            },
            Path::Mailbox(mailbox) if is_ours(mailbox, server) => Ok(mailbox.address()),
            Path::Mailbox(_) => Err(reply::NO_RELAYING),
        }
    }

    pub(super) fn recipient_answered(&mut self, named: String, answer: Answer) {
        let Some(transaction) = &mut self.transaction else { return self.reply(reply::BAD_SEQUENCE) };
        let reply = match answer {
            Answer::Recipient(RecipientAnswer::Accepted(accounts)) => {
                match transaction.add(DeliveryRecipient { named, accounts }) {
                    true => reply::RECIPIENT_OK,
                    false => reply::TOO_MANY_RECIPIENTS,
                }
            }
            Answer::Recipient(RecipientAnswer::Unknown) => return self.unknown_recipient(),
            Answer::Recipient(RecipientAnswer::Loop) => reply::ALIAS_LOOP,
            Answer::Recipient(RecipientAnswer::Full) => reply::NO_ROOM,
            Answer::Recipient(RecipientAnswer::OverQuota) => reply::OVER_QUOTA,
            Answer::Unavailable | Answer::Authenticated(_) => reply::TRY_LATER,
        };
        self.reply(reply);
    }

    fn unknown_recipient(&mut self) {
        self.reply(reply::NO_SUCH_USER);
        self.unknown_recipients += 1;
        let own_agent = self.peer.service == Service::Lmtp;
        if self.unknown_recipients >= SMTP_UNKNOWN_RECIPIENTS_MAX && !own_agent {
            self.reply(reply::GIVE_UP);
            self.close();
        }
    }
}

/// Whether mail for this domain is ours.
fn is_ours(mailbox: &Mailbox, server: &Server) -> bool {
    server.domains.binary_search(&mailbox.domain.to_lowercase()).is_ok()
}

/// Whether an authenticated user may send under this address: its own, a sub-address of it, or none (a
/// message disposition notification has `<>`, rfc8098#2.1).
fn is_own(user: &str, sender: &Path, server: &Server) -> bool {
    let Path::Mailbox(mailbox) = sender else { return *sender == Path::Null };
    let base = mailbox.local.split(server.subaddress_separator).next().unwrap_or_default();
    mailbox.address() == user || normalise_address(&format!("{base}@{}", mailbox.domain)) == user
}
