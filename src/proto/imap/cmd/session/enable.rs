//! ENABLE (rfc5161).
//!
//! *Owns*: which extensions are switched on by name. *Promises*: `* ENABLED` lists what this command
//! switched on, no more (rfc5161#3.1). *Assumes*: an extension stands in [`switch`] from the day on which it
//! is announced. *Never*: switches anything off.

use crate::proto::Cx;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step};

/// Switches on what is known of `names`, which are in upper case.
pub fn step(names: &[String], core: &mut Core, cx: &mut Cx<'_>) -> Step {
    let before = core.enabled;
    let mut line = String::from("* ENABLED");
    for name in names {
        if switch(name, core) {
            line.push(' ');
            line.push_str(name);
        }
    }
    core.out.line(&line);
    core.out.spell_names_in_utf8(core.enabled.utf8_names());
    // rfc7162#3.2.3: a CONDSTORE enabling command, in whatever order they are named.
    core.enabled.condstore |= core.enabled.qresync;
    if core.enabled.condstore && !before.condstore {
        core.show_highest_modseq(cx);
    }
    Reply::done().into()
}

/// Whether `name` was off and is on now. What is not known, or cannot be enabled, is passed over
/// (rfc5161#3.1).
fn switch(name: &str, core: &mut Core) -> bool {
    let enabled = &mut core.enabled;
    let place = match name {
        "CONDSTORE" => &mut enabled.condstore,
        "UTF8=ACCEPT" => &mut enabled.utf8,
        "QRESYNC" => &mut enabled.qresync,
        "UIDONLY" => &mut enabled.uidonly,
        _ => return false,
    };
    !std::mem::replace(place, true)
}
