//! What is fuzzed: one function for each kind of octets that strangers or disks give.
//!
//! Each asserts what the code promises, not only that it survives. `fuzz_targets/` hands them to libFuzzer;
//! `stable.rs` runs them over the seed corpora and seeded mutations in every test run.

pub mod choices;
pub mod disk;
pub mod imap_command;
pub mod imap_search;
pub mod imap_session;
pub mod imap_sort;
pub mod imap_thread;
pub mod inflate;
pub mod mails;
pub mod mime_fields;
pub mod mime_keys;
pub mod mime_summarise;
pub mod mime_text;
pub mod smtp_pop3_lines;
#[path = "../../wire/world.rs"]
pub mod world;

/// A target's name and the function that takes any octets.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; a corpus folder and a binary of the same name stand beside it.
pub const TARGETS: &[Target] = &[
    ("checkpoint_file", disk::checkpoint_file::run),
    ("imap_command", imap_command::run),
    ("imap_search", imap_search::run),
    ("imap_session", imap_session::run),
    ("imap_sort", imap_sort::run),
    ("imap_thread", imap_thread::run),
    ("inflate", inflate::run),
    ("log_change", disk::log_change::run),
    ("mime_fields", mime_fields::run),
    ("mime_keys", mime_keys::run),
    ("mime_summarise", mime_summarise::run),
    ("mime_text", mime_text::run),
    ("pack_file", disk::pack_file::run),
    ("smtp_pop3_lines", smtp_pop3_lines::run),
    ("summary_view", disk::summary_view::run),
];
