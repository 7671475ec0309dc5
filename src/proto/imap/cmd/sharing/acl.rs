//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (rfc4314#3).
//!
//! *Owns*: how a list is changed and shown. *Promises*: a change is durable before its completion; whoever
//! may not see a mailbox learns nothing of its list. *Assumes*: [`access`](crate::proto::imap::access) for who
//! may. *Never*: decides what a right allows.

use bytes::Bytes;
use ringpost_engine::change::{Change, Outcome, Rights};
use ringpost_engine::ids::AccountId;

use crate::proto::Cx;
use crate::proto::imap::access::{self, GRANTS, Target};
use crate::proto::imap::command::{AclCommand, RightsChange};
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::write;

/// See the module.
#[derive(Debug)]
pub struct Acl {
    command: AclCommand,
    /// Whether the owner still grants the identifier something.
    granted: bool,
    /// The change is durable; the session is with whom it concerns.
    noting: bool,
    /// Whose list it is.
    owner: String,
}

/// What MYRIGHTS asks one of (rfc4314#4, "Any").
const ANY: [Rights; 6] = [
    Rights::LOOKUP,
    Rights::READ,
    Rights::INSERT,
    Rights::CREATE,
    Rights::DELETE_MAILBOX,
    Rights::ADMINISTER,
];

impl Acl {
    /// A command that has not begun.
    pub fn new(command: AclCommand) -> Acl {
        Acl { command, granted: false, noting: false, owner: String::new() }
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match wake {
            // A note that finds no room is missed by LIST only.
            Wake::Committed(Outcome::Refused(_)) if self.noting => Reply::done().into(),
            Wake::Committed(Outcome::Refused(refusal)) => Reply::from(refusal).into(),
            Wake::Committed(_) if self.noting => Reply::done().into(),
            Wake::Committed(_) => self.go_and_note(core, cx),
            Wake::Replied(_) if self.noting => self.note(core, cx),
            _ => self.begin(core, cx).unwrap_or_else(Step::Done),
        }
    }

    /// Goes to the user whose rights were changed, if it is one, to leave a note of it for LIST.
    fn go_and_note(&mut self, core: &mut Core, cx: &Cx<'_>) -> Step {
        let (AclCommand::Set { mailbox, identifier, .. } | AclCommand::Delete { mailbox, identifier }) =
            &self.command
        else {
            return Reply::done().into();
        };
        let target = access::find(mailbox, core, cx);
        let (Ok(target), true) = (target, may_be_user(identifier)) else { return Reply::done().into() };
        if target.account.address() == identifier {
            return Reply::done().into();
        }
        let sees = |rights: Rights| rights.contains(Rights::LOOKUP);
        self.granted =
            target.account.mailboxes().any(|mailbox| mailbox.rights_of(identifier).is_some_and(sees));
        self.owner = target.account.address().to_owned();
        self.noting = true;
        let identifier = identifier.clone();
        core.go_to(identifier)
    }

    /// Leaves the note in the account of whom it concerns; nobody by that name needs none.
    fn note(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        let Some(account) = cx.store.account_by_address(&core.here) else { return Reply::done().into() };
        let name = format!("{GRANTS}/{}", self.owner);
        let noted = cx.store.account(account).is_some_and(|account| account.metadata(&name).is_some());
        if noted == self.granted {
            return Reply::done().into();
        }
        let entries = vec![(name, self.granted.then(Bytes::new))];
        // Without room for it now, it is missed by LIST only.
        let appended = core.append_to(account, cx, Change::Metadata { mailbox: None, entries });
        appended.map_or_else(|_| Reply::done().into(), Step::Commit)
    }

    fn begin(&self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        match &self.command {
            AclCommand::Set { mailbox, identifier, change } => {
                let changed = changed(&administered(mailbox, core, cx)?, identifier, Some(*change));
                return commit(changed, core, cx);
            }
            AclCommand::Delete { mailbox, identifier } => {
                let changed = changed(&administered(mailbox, core, cx)?, identifier, None);
                return commit(changed, core, cx);
            }
            AclCommand::Get { mailbox } => {
                let target = administered(mailbox, core, cx)?;
                put_list(&mut core.out, mailbox, &target);
            }
            AclCommand::List { mailbox, identifier } => {
                let target = administered(mailbox, core, cx)?;
                put_grantable(&mut core.out, mailbox, identifier, &target);
            }
            AclCommand::Mine { mailbox } => {
                let target = access::find(mailbox, core, cx)?;
                if !ANY.iter().any(|&right| target.rights.contains(right)) {
                    return Err(access::no_such_mailbox());
                }
                put_mine(&mut core.out, mailbox, target.rights);
            }
        }
        Ok(Reply::done().into())
    }
}

/// Whether an identifier may be a user's address, and one that a name can hold.
fn may_be_user(identifier: &str) -> bool {
    identifier.contains('@') && !identifier.starts_with('-') && !identifier.contains('/')
}

fn administered<'a>(name: &str, core: &Core, cx: &'a Cx<'_>) -> Result<Target<'a>, Reply> {
    let target = access::find(name, core, cx)?;
    target.allow(Rights::ADMINISTER)?;
    Ok(target)
}

/// The change that sets an identifier's rights, or removes its entry where there is no change; none if all is
/// as it should be.
fn changed(
    target: &Target<'_>,
    identifier: &str,
    change: Option<RightsChange>,
) -> Option<(AccountId, Change)> {
    let owner = target.account.address() == identifier;
    let listed = target.mailbox.rights_of(identifier);
    // Who owns it has all rights unless the list says otherwise.
    let before = listed.unwrap_or(if owner { Rights::ALL } else { Rights::NONE });
    let rights = change.map(|change| match change {
        RightsChange::Replace(rights) => rights,
        RightsChange::Add(rights) => before.union(rights),
        RightsChange::Remove(rights) => before.without(rights),
    });
    // An entry without rights says nothing, but for the owner it says that they are gone.
    let rights = rights.filter(|rights| owner || !rights.is_empty());
    let change = Change::Acl { mailbox: target.mailbox.id(), identifier: identifier.to_owned(), rights };
    (rights != listed).then_some((target.account.id(), change))
}

fn commit(changed: Option<(AccountId, Change)>, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
    match changed {
        Some((account, change)) => Ok(Step::Commit(core.append_to(account, cx, change)?)),
        None => Ok(Reply::done().into()),
    }
}

/// `* ACL mailbox identifier rights …` (rfc4314#3.6), the owner first.
fn put_list(out: &mut Out, name: &str, target: &Target<'_>) {
    out.put(b"* ACL ");
    out.mailbox(name);
    let text = out.text();
    let owner = target.account.address();
    let own = target.mailbox.rights_of(owner).map_or(Rights::ALL, |listed| listed.union(access::kept(true)));
    let others = target.mailbox.acl().filter(|&(identifier, _)| identifier != owner);
    for (identifier, rights) in std::iter::once((owner, own)).chain(others) {
        text.extend_from_slice(b" ");
        write::astring(text, identifier.as_bytes());
        text.extend_from_slice(b" ");
        access::put(text, rights);
    }
    text.extend_from_slice(b"\r\n");
}

/// `* LISTRIGHTS …` (rfc4314#3.7): no right is tied to another.
fn put_grantable(out: &mut Out, name: &str, identifier: &str, target: &Target<'_>) {
    out.put(b"* LISTRIGHTS ");
    out.mailbox(name);
    let text = out.text();
    text.extend_from_slice(b" ");
    write::astring(text, identifier.as_bytes());
    let kept = access::kept(identifier.eq_ignore_ascii_case(target.account.address()));
    let always: String = kept.letters().collect();
    text.extend_from_slice(b" ");
    write::astring(text, always.as_bytes());
    for letter in Rights::ALL.without(kept).letters().chain(['c', 'd']) {
        text.extend_from_slice(b" ");
        write::astring(text, letter.to_string().as_bytes());
    }
    text.extend_from_slice(b"\r\n");
}

/// `* MYRIGHTS mailbox rights` (rfc4314#3.8)
pub fn put_mine(out: &mut Out, name: &str, rights: Rights) {
    out.put(b"* MYRIGHTS ");
    out.mailbox(name);
    let text = out.text();
    text.extend_from_slice(b" ");
    access::put(text, rights);
    text.extend_from_slice(b"\r\n");
}
