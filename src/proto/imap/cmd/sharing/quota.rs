//! GETQUOTA, GETQUOTAROOT, SETQUOTA (rfc9208#4.1).
//!
//! *Owns*: what a quota root is: one an account, named by its address. *Promises*: figures are exact; who may
//! not see an account's figures learns nothing of it. *Assumes*: the store enforces the limits.
//! *Never*: lets a user change a limit: only those do whom the configuration names.

use bytes::BytesMut;
use ringpost_engine::change::{Change, Outcome, Quota as Figures, Rights};
use ringpost_engine::ids::normalise_address;
use ringpost_engine::index::AccountRef;

use crate::proto::Cx;
use crate::proto::imap::access;
use crate::proto::imap::command::QuotaCommand;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::{self, Reply};
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::write;

/// See the module.
#[derive(Debug)]
pub struct Quota(pub QuotaCommand);

impl Quota {
    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match wake {
            Wake::Committed(Outcome::Refused(refusal)) => Reply::from(refusal).into(),
            // rfc9208#4.1.3: the limits as they are now.
            Wake::Committed(_) => self.show(core, cx).unwrap_or_else(Step::Done),
            _ => match (self.elsewhere(core, cx), &self.0) {
                (Some(address), _) => core.go_to(address),
                (None, QuotaCommand::Set { .. }) => self.set(core, cx).unwrap_or_else(Step::Done),
                (None, _) => self.show(core, cx).unwrap_or_else(Step::Done),
            },
        }
    }

    /// Where another account's quota is, for those who may ask.
    fn elsewhere(&self, core: &Core, cx: &Cx<'_>) -> Option<String> {
        let (QuotaCommand::Get { root } | QuotaCommand::Set { root, .. }) = &self.0 else { return None };
        let address = normalise_address(&String::from_utf8_lossy(root));
        (administers(core, cx) && address != core.here).then_some(address)
    }

    fn show(&self, core: &mut Core, cx: &Cx<'_>) -> Result<Step, Reply> {
        let account = match &self.0 {
            QuotaCommand::Get { root } | QuotaCommand::Set { root, .. } => root_of(root, core, cx)?,
            QuotaCommand::Root { mailbox } => {
                let (account, name) = access::account_of(mailbox, core, cx)?;
                if account.mailbox_by_name(name).is_some() || account.id() != core.account_id() {
                    // rfc9208#6
                    access::find(mailbox, core, cx)?.allow(Rights::READ)?;
                }
                put_roots(&mut core.out, mailbox, account);
                account
            }
        };
        put(core.out.text(), account.address(), account.quota());
        Ok(Reply::done().into())
    }

    fn set(&self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        let QuotaCommand::Set { root, limits } = &self.0 else { return Err(no_root()) };
        if !administers(core, cx) {
            return Err(Reply::no("[NOPERM] Quotas are set by administrators"));
        }
        let account = root_of(root, core, cx)?.id();
        let limits = limits.ok_or_else(|| Reply::no("[CANNOT] A resource is not known here"))?;
        Ok(Step::Commit(core.append_to(account, cx, Change::Quota { limits })?))
    }
}

fn no_root() -> Reply {
    Reply::no("[NONEXISTENT] No such quota root")
}

/// The account behind a quota root, if the user may know of it.
fn root_of<'a>(root: &[u8], core: &Core, cx: &'a Cx<'_>) -> Result<AccountRef<'a>, Reply> {
    let address = normalise_address(&String::from_utf8_lossy(root));
    let own = core.user.as_ref().is_some_and(|user| user.address == address);
    if !own && !administers(core, cx) {
        return Err(no_root());
    }
    cx.store.account_by_address(&address).and_then(|id| cx.store.account(id)).ok_or_else(no_root)
}

/// Whether the configuration names the user among those who set quotas.
fn administers(core: &Core, cx: &Cx<'_>) -> bool {
    let named = |user: &String| cx.server.imap_administrators.contains(user);
    core.user.as_ref().is_some_and(|user| named(&user.address))
}

/// `* QUOTAROOT mailbox root` (rfc9208#4.2.2)
fn put_roots(out: &mut Out, name: &str, account: AccountRef<'_>) {
    out.put(b"* QUOTAROOT ");
    out.mailbox(name);
    let text = out.text();
    text.extend_from_slice(b" ");
    write::astring(text, account.address().as_bytes());
    text.extend_from_slice(b"\r\n");
}

/// `* QUOTA root (resource usage limit …)` (rfc9208#4.2.1): what is not limited is not named.
fn put(text: &mut BytesMut, root: &str, quota: Figures) {
    text.extend_from_slice(b"* QUOTA ");
    write::astring(text, root.as_bytes());
    let resources = [
        ("STORAGE", quota.usage.storage_kib(), quota.limits.storage_kib),
        ("MESSAGE", quota.usage.messages, quota.limits.messages),
        ("MAILBOX", quota.usage.mailboxes, quota.limits.mailboxes),
    ];
    let limited = resources.into_iter().filter_map(|(name, used, limit)| Some((name, used, limit?)));
    text.extend_from_slice(b" (");
    for (index, (name, used, limit)) in limited.enumerate() {
        text.extend_from_slice(if index == 0 { b"" } else { b" " });
        text.extend_from_slice(name.as_bytes());
        for figure in [used, limit] {
            text.extend_from_slice(b" ");
            reply::number(text, figure);
        }
    }
    text.extend_from_slice(b")\r\n");
}
