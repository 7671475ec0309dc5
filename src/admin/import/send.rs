//! Messages on their way from the other store to the server.
//!
//! *Owns*: fetching them, in frames, and what becomes of those that do not come. *Promises*: a message that was asked
//! for and did not come is told, and the mailbox remembers it before its UID is passed. *Assumes*: the source hands
//! messages over in the order of their places. *Never*: counts what is not durable.

use super::differ::Here;
use super::frame::Frame;
use super::late::identity;
use super::mark::Mark;
use super::report::{Report, Row};
use super::source::{Contents, Facts, Mail, Source, Unread};
use super::wire::{ImportMessage, ImportStep};
use crate::admin::client::Client;
use crate::admin::wire::Request;
use crate::limits::IMPORT_FRAME_MESSAGES_MAX;

/// Where messages go, and what is known of both sides.
#[derive(Clone, Copy)]
pub struct To<'a> {
    /// The server.
    pub client: &'a Client,
    /// The account.
    pub address: &'a str,
    /// The mailbox's full name.
    pub mailbox: &'a str,
    /// What is there.
    pub contents: &'a Contents,
    /// What is here.
    pub here: &'a Here,
    /// Octets of the largest message that the server takes.
    pub message_bytes_max: usize,
}

/// See the module.
pub struct Sender<'a> {
    to: To<'a>,
    report: &'a mut Report,
    row: &'a mut Row,
    mark: &'a mut Mark,
    frame: Frame,
    /// UIDs there of what is in the frame.
    waiting: Vec<u32>,
    /// What goes into the frame gets new UIDs.
    is_late: bool,
}

impl<'a> Sender<'a> {
    /// Nothing is on its way yet.
    pub fn new(to: To<'a>, report: &'a mut Report, row: &'a mut Row, mark: &'a mut Mark) -> Sender<'a> {
        Sender { to, report, row, mark, frame: Frame::default(), waiting: Vec::new(), is_late: false }
    }

    /// Sends messages, with their UIDs or under new ones.
    pub fn send(&mut self, source: &mut dyn Source, places: &[usize], is_late: bool) -> Result<(), String> {
        self.report.expect(places.len());
        self.is_late = is_late;
        for places in places.chunks(IMPORT_FRAME_MESSAGES_MAX) {
            self.send_some(source, places)?;
        }
        Ok(())
    }

    fn send_some(&mut self, source: &mut dyn Source, places: &[usize]) -> Result<(), String> {
        let mut known = Vec::with_capacity(places.len());
        for &place in places {
            known.push(source.facts(place)?);
        }
        // Those before have come, or are told.
        let mut next = 0;
        source.fetch(places, &mut |read| {
            let place = match &read {
                Ok(Mail { place, .. }) | Err(Unread { place, .. }) => *place,
            };
            let nth = places.binary_search(&place).ok().filter(|nth| *nth >= next);
            let nth = nth.ok_or("a message came unasked, or out of order")?;
            places[next..nth].iter().for_each(|&place| self.did_not_come(place));
            next = nth + 1;
            match read {
                Ok(mail) => self.take(mail, &known[nth]),
                Err(Unread { place, why }) => {
                    self.leave(place, &why);
                    Ok(())
                }
            }
        })?;
        places[next..].iter().for_each(|&place| self.did_not_come(place));
        self.flush(0)
    }

    fn did_not_come(&mut self, place: usize) {
        self.leave(place, "it was listed, and did not come: if it is gone there the next run is content");
    }

    /// Leaves a message out.
    fn leave(&mut self, place: usize, why: &str) {
        let uid = self.to.contents.uids[place];
        self.row.left_out(format!("UID {uid}: {why}"));
        self.mark.leave(uid);
    }

    fn take(&mut self, mail: Mail, facts: &Facts) -> Result<(), String> {
        let To { contents, here, message_bytes_max, .. } = self.to;
        if mail.octets.len() > message_bytes_max {
            self.leave(mail.place, &beyond(mail.octets.len(), message_bytes_max));
            return Ok(());
        }
        let uid = contents.uids[mail.place];
        let (uid_here, unique_id) = match self.is_late {
            true => (0, Some(identity(facts, uid, contents, here))),
            false => (uid, facts.unique_id.clone()),
        };
        let message = ImportMessage {
            uid: uid_here,
            bytes: mail.octets.len(),
            flags: facts.flags.clone().unwrap_or_default(),
            internal_ms: mail.internal_ms,
            unique_id,
        };
        if !self.frame.has_room(&message) {
            self.flush(0)?;
        }
        self.frame.push(message, mail.octets);
        self.waiting.push(uid);
        Ok(())
    }

    /// Lets UIDNEXT be no smaller.
    pub fn pass(&mut self, uid_next: u32) -> Result<(), String> {
        self.flush(uid_next)
    }

    /// Remembers that everything below came, if need be under new UIDs.
    pub fn come_to(&mut self, uid_next: u32) -> Result<(), String> {
        self.mark.come_to(uid_next);
        self.remember()
    }

    /// Sends what is in the frame; an empty one only moves UIDNEXT.
    fn flush(&mut self, uid_next: u32) -> Result<(), String> {
        // Before their UIDs are passed.
        self.remember()?;
        let Frame { messages, octets, .. } = std::mem::take(&mut self.frame);
        if messages.is_empty() && uid_next == 0 {
            return Ok(());
        }
        let (mailbox, count) = (self.to.mailbox.to_owned(), messages.len());
        let step = ImportStep::Append { mailbox, uid_next, messages, octets: Default::default() };
        self.step(step, &octets)?;
        self.report.advance(count);
        self.row.new += count as u64;
        for uid in std::mem::take(&mut self.waiting) {
            self.mark.came(uid, self.is_late && uid < self.to.here.imported_next);
        }
        self.remember()
    }

    fn remember(&mut self) -> Result<(), String> {
        let Some(mark) = self.mark.take_changed() else { return Ok(()) };
        self.step(ImportStep::Mark { mailbox: self.to.mailbox.to_owned(), mark }, &[])
    }

    fn step(&self, step: ImportStep, octets: &[u8]) -> Result<(), String> {
        let address = self.to.address.to_owned();
        self.to.client.call_with(&Request::Import { address, step }, octets, &mut |_| Ok(()))
    }
}

/// Why a message stays where it is.
pub fn beyond(octets: usize, message_bytes_max: usize) -> String {
    format!(
        "it has {octets} octets, and the server takes {message_bytes_max}: raise limits.message_bytes_max"
    )
}
