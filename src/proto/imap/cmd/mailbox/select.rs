//! SELECT, EXAMINE, CLOSE, UNSELECT.
//!
//! *Owns*: how a view begins and ends. *Promises*: costs the same for ten messages or a million, counting
//! apart. *Assumes*: the session closes the connection if a view is lost. *Never*: keeps the old view when
//! SELECT fails.

use ringpost_engine::change::{Change, Rights};
use ringpost_engine::ids::Uid;
use ringpost_engine::index::MailboxRef;

use super::show::{self, Shown};
use crate::proto::Cx;
use crate::proto::imap::access;
use crate::proto::imap::cmd::message::expunge::{Sweep, Swept, everything};
use crate::proto::imap::command;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::{self, Reply};
use crate::proto::imap::state::{Core, Enabled, Step};
use crate::proto::imap::view::{Resync, Tell, Told, View, matched};
use crate::proto::imap::write;

/// SELECT and EXAMINE (rfc3501#6.3.1, #6.3.2).
#[derive(Debug)]
pub struct Open {
    select: command::Select,
    /// The rows that are to be looked at have been brought in.
    warmed: bool,
    /// What a client that was here before missed; there is one when the mailbox is open.
    resync: Option<Resync>,
}

impl Open {
    /// A SELECT that has not begun.
    pub fn new(select: command::Select) -> Open {
        Open { select, warmed: false, resync: None }
    }

    /// Goes on.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        if !std::mem::replace(&mut self.warmed, true)
            && let Ok(target) = access::find_selectable(&self.select.mailbox, core, cx)
        {
            let cold = cx.store.cold_rows(target.account.id(), target.mailbox.id());
            if !cold.is_empty() {
                return Step::Warm(cold.into_iter().map(Into::into).collect());
            }
        }
        if self.resync.is_none() {
            match self.open(core, cx) {
                Ok(resync) => self.resync = resync,
                Err(reply) => return reply.into(),
            }
        }
        let Core { view: Some(view), out, enabled, .. } = core else {
            return self.finish(self.select.read_only);
        };
        let tell = Tell { expunge: false, growth: false, flags: true, enabled: *enabled };
        let told = match (&mut self.resync, view.mailbox(cx.store)) {
            (Some(resync), Some(mailbox)) => resync.step(view, mailbox, out, tell),
            _ => Told::All,
        };
        match told {
            Told::All => self.finish(view.read_only()),
            Told::Full => Step::Room,
            Told::Budget => Step::Yield,
        }
    }

    fn open(&self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Option<Resync>, Reply> {
        let select = &self.select;
        if select.qresync.is_some() && !core.enabled.qresync {
            // rfc7162#3.2.5
            return Err(Reply::bad("ENABLE QRESYNC first"));
        }
        // rfc3501#6.3.1: the old mailbox is left even if the new one cannot be opened.
        if core.view.take().is_some() {
            // rfc7162#3.2.11: who shows CONDSTORE draws this line between what is told of the two.
            core.out.line("* OK [CLOSED] Previous mailbox closed");
        }
        core.enabled.condstore |= select.condstore;
        let target = access::find_selectable(&select.mailbox, core, cx)?;
        target.allow(Rights::READ)?;
        let mailbox = target.mailbox;
        if !mailbox.is_readable() {
            return Err(Reply::no("[UNAVAILABLE] What is stored about this mailbox is damaged"));
        }
        // rfc4314#5.2
        let writable = access::WRITABLE.iter().any(|&right| target.rights.contains(right));
        let read_only = select.read_only || !writable;
        let mut view =
            View::open(target.account.id(), mailbox, read_only).permit(access::permitted_bits(target.rights));
        show(&view, mailbox, core.enabled, &mut core.out);
        if core.enabled.rev2 {
            view.speak_rev2();
            // rfc9051#6.3.2
            let shown = Shown {
                name: &select.mailbox,
                mailbox: Some(mailbox),
                children: target.account.has_children(mailbox.name()),
                subscribed: false,
                below: false,
                itself: true,
                rights: target.rights,
                own: target.is_own(core),
            };
            // rfc9051#6.3.9.7
            show::put_event(&mut core.out, &shown, select.spelt.as_deref());
        }
        let remembered = select.qresync.as_ref();
        // rfc7162#3.2.5: what was known of another mailbox of that name says nothing.
        let remembered = remembered.filter(|known| known.uid_validity == mailbox.uid_validity());
        let resync = remembered.map(|known| {
            let uids = known.known.as_ref().map_or_else(|| view.known(), |set| set.resolve(0));
            let pairs = known.matches.as_ref();
            let sure = pairs.map_or(Uid(0), |(numbers, uids)| matched(&view, mailbox, numbers, uids));
            Resync::new(&view, mailbox, uids, sure, known.modseq)
        });
        core.view = Some(view);
        core.selected_at.clone_from(&core.here);
        Ok(resync)
    }

    fn finish(&self, read_only: bool) -> Step {
        Reply::ok(match (read_only, self.select.condstore) {
            (true, _) if !self.select.read_only => "[READ-ONLY] SELECT completed",
            (true, _) => "[READ-ONLY] EXAMINE completed",
            (false, true) => "[READ-WRITE] SELECT completed, CONDSTORE is on",
            (false, false) => "[READ-WRITE] SELECT completed",
        })
        .into()
    }
}

/// The figures. IMAP4rev2 has no RECENT and no UNSEEN (rfc9051#E, items 11 and 12).
fn show(view: &View, mailbox: MailboxRef<'_>, enabled: Enabled, out: &mut Out) {
    view.put_flag_lists(mailbox, out);
    reply::untagged_number(out.text(), u64::from(view.exists(mailbox)), "EXISTS");
    if !enabled.rev2 {
        reply::untagged_number(out.text(), view.recent_count(mailbox) as u64, "RECENT");
    }
    let mut code = |name: &str, value: u64, words: &str| {
        out.put(b"* OK [");
        out.put(name.as_bytes());
        out.put(b" ");
        reply::number(out.text(), value);
        out.put(b"] ");
        out.line(words);
    };
    // It is a number, which means nothing to a client without them (rfc9586#3).
    let numbered = !enabled.uidonly && !enabled.rev2;
    if let Some(place) = mailbox.first_unseen().filter(|_| numbered) {
        code("UNSEEN", place as u64 + 1, "First unseen message");
    }
    code("UIDVALIDITY", u64::from(mailbox.uid_validity()), "UIDs are valid");
    code("UIDNEXT", u64::from(mailbox.uid_next().0), "Next UID");
    // rfc7162#3.1.2: allowed before, and asked for after, a CONDSTORE enabling command.
    code("HIGHESTMODSEQ", mailbox.highest_modseq().0, "Highest");
    // rfc8474#4.2
    out.put(b"* OK [MAILBOXID (");
    write::mailbox_id(out.text(), view.account(), mailbox.id());
    out.line(")] Its id");
    // rfc4467#8: the mechanisms that may authorise a URL of this mailbox.
    out.line("* OK [URLMECH INTERNAL] URLs can be authorised");
}

/// CLOSE (rfc3501#6.4.2) and UNSELECT (rfc3691).
#[derive(Debug)]
pub struct Close {
    sweep: Option<Sweep>,
}

impl Close {
    /// CLOSE: expunges without a word.
    pub fn expunging() -> Close {
        Close { sweep: Some(Sweep::new(everything())) }
    }

    /// UNSELECT: expunges nothing.
    pub fn keeping() -> Close {
        Close { sweep: None }
    }

    /// Goes on.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        // rfc4314#4: without "e" it closes all the same.
        let may = core.selected_rights(cx).contains(Rights::EXPUNGE);
        let swept = match (core.selected_for_writing(cx), &mut self.sweep) {
            (Ok((view, mailbox)), Some(sweep)) if may => sweep.next(view, mailbox),
            // UNSELECT, opened read-only, or gone: nothing to expunge.
            _ => Swept::Done,
        };
        let (uids, mailbox) = match (swept, &core.view) {
            (Swept::Found(uids), Some(view)) => (uids, view.mailbox_id()),
            (Swept::More, _) => return Step::Yield,
            _ => {
                core.view = None;
                return Reply::done().into();
            }
        };
        match core.append_selected(cx, Change::Expunge { mailbox, uids, only_deleted: true }) {
            Ok(lsn) => Step::Commit(lsn),
            Err(reply) => reply.into(),
        }
    }
}
