//! ENABLE (rfc5161).
//!
//! *Owns*: which extensions are switched on by name. *Promises*: `* ENABLED` lists what this command
//! switched on, no more (rfc5161#3.1). *Assumes*: an extension stands in [`switch`] from the day on which it
//! is announced. *Never*: switches anything off.

use crate::proto::Cx;
use crate::proto::imap::capability;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Enabled, Step};

/// Switches on what is known of `names`, which are in upper case.
pub fn step(names: &[String], core: &mut Core, cx: &mut Cx<'_>) -> Step {
    let before = core.enabled;
    let mut line = String::from("* ENABLED");
    let hidden = core.hidden(cx).to_vec();
    for name in names.iter().filter(|name| !capability::is_hidden(name, &hidden)) {
        if let Some(name) = switch(name, &mut core.enabled) {
            line.push(' ');
            line.push_str(name);
        }
    }
    core.out.line(&line);
    core.out.spell_names_in_utf8(core.enabled.utf8_names());
    // rfc7162#3.2.3: a CONDSTORE enabling command, in whatever order they are named.
    core.enabled.condstore |= core.enabled.qresync;
    if core.enabled.rev2
        && let Some(view) = &mut core.view
    {
        view.speak_rev2();
    }
    if core.enabled.condstore && !before.condstore {
        core.show_highest_modseq(cx);
    }
    Reply::done().into()
}

/// The name, as it is registered, of what was off and is on now. What is not known, or cannot be enabled, is
/// passed over (rfc5161#3.1).
fn switch(name: &str, enabled: &mut Enabled) -> Option<&'static str> {
    let (name, place) = match name {
        "CONDSTORE" => ("CONDSTORE", &mut enabled.condstore),
        "UTF8=ACCEPT" => ("UTF8=ACCEPT", &mut enabled.utf8),
        "QRESYNC" => ("QRESYNC", &mut enabled.qresync),
        "UIDONLY" => ("UIDONLY", &mut enabled.uidonly),
        "IMAP4REV2" => ("IMAP4rev2", &mut enabled.rev2),
        _ => return None,
    };
    (!std::mem::replace(place, true)).then_some(name)
}
