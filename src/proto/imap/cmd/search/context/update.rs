//! The wish for updates, while its command runs (rfc5267#4.3).
//!
//! *Owns*: whether it is granted, and when. *Promises*: what was found is followed from the moment at which the
//! search began, so nothing that happens meanwhile is missed. *Assumes*: finds are noted in the order told.
//! *Never*: lets a refusal disturb the command: all else that was asked for is done (rfc5267#4.3.1).

use ringpost_engine::ids::Uid;
use ringpost_engine::index::MailboxRef;

use super::{Context, refuse};
use crate::proto::imap::cmd::search::key::Query;
use crate::proto::imap::cmd::search::results::Form;
use crate::proto::imap::command::SortCriterion;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::Core;
use crate::proto::imap::view::View;

/// See the module.
#[derive(Debug)]
pub enum Update {
    /// The client did not ask.
    Unasked,
    /// There will be none, and why.
    Refused(&'static str),
    /// What is followed once it is told.
    Asked(Box<Context>),
}

/// A list of results is beyond its bounds.
pub const TOO_MANY: &str = "The result is too large or in too many pieces to follow";

impl Update {
    /// For a search of the selected mailbox that begins, sorted or in the mailbox's order.
    pub fn of(
        form: &Form,
        query: &Query,
        criteria: Option<&[SortCriterion]>,
        view: &View,
        mailbox: MailboxRef<'_>,
    ) -> Result<Update, Reply> {
        if !form.returns.is_some_and(|returns| returns.update) {
            return Ok(Update::Unasked);
        }
        if view.contexts.has(&form.tag) {
            // rfc5267#4.3
            return Err(Reply::bad("Tag reuse"));
        }
        Ok(if !view.contexts.has_room() {
            Update::Refused("Too many contexts")
        } else if criteria.is_some() && !view.contexts.has_room_for_sorted() {
            Update::Refused("Too many sorted contexts")
        } else if !query.can_be_followed() {
            Update::Refused("Such keys are not followed")
        } else {
            let context = Context::new(form.tag.clone(), form.uid, query.clone(), view, mailbox);
            Update::Asked(Box::new(match criteria {
                Some(criteria) => context.sorted_by(criteria),
                None => context,
            }))
        })
    }

    /// Notes a find of a search in the mailbox's order; ascending.
    pub fn note(&mut self, uid: Uid) {
        self.with(|context| context.add(uid));
    }

    /// Notes a find of a sorted search; ascending by UID.
    pub fn note_key(&mut self, uid: Uid, key: &[u8]) {
        self.with(|context| context.add_key(uid, key));
    }

    /// Notes which message is next in the order asked for.
    pub fn note_place(&mut self, uid: Uid) {
        self.with(|context| context.add_place(uid));
    }

    fn with(&mut self, note: impl FnOnce(&mut Context)) {
        if let Update::Asked(context) = self {
            note(context);
            if !context.fits() {
                *self = Update::Refused(TOO_MANY);
            }
        }
    }

    /// The results are told: what changes from now on is told as it happens.
    pub fn begin(&mut self, form: &Form, core: &mut Core) {
        match (std::mem::replace(self, Update::Unasked), &mut core.view) {
            (Update::Asked(context), Some(view)) => view.contexts.begin(*context),
            (Update::Refused(why), _) => refuse(&form.tag, why, &mut core.out),
            (Update::Asked(_), None) | (Update::Unasked, _) => {}
        }
    }
}
