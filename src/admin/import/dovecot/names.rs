//! Folder names of a Maildir tree.
//!
//! *Owns*: from paths to names: Maildir++ (`.Work.2024`) and `LAYOUT=fs` (`Work/2024`), modified UTF-7, the list of
//! subscriptions. *Promises*: names in UTF-8 with levels split by `/`. *Assumes*: nothing of the contents. *Never*:
//! follows a symbolic link, or more levels than a mailbox may have.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ringpost_engine::limits::{MAILBOX_LEVELS_MAX, MAILBOXES_PER_ACCOUNT_MAX};

use crate::proto::imap::utf7;
use crate::sys::plain::{IS_LINK, is_folder, is_link};

/// How folders lie below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// As found: fs where a folder without a leading dot holds mail, else Maildir++.
    Auto,
    /// Maildir++: all in the root, `.Work.2024`.
    #[value(name = "maildir++")]
    MaildirPlusPlus,
    /// LAYOUT=fs: folders in folders, `Work/2024`.
    Fs,
}

/// Whether a path holds mail.
fn is_maildir(path: &Path) -> bool {
    is_folder(&path.join("cur"))
}

/// Whether it would hold mail if links were followed.
fn is_linked(path: &Path) -> bool {
    let cur = path.join("cur");
    cur.is_dir() && (is_link(path) || is_link(&cur))
}

/// What lies below a root.
#[derive(Debug, Default)]
pub struct Found {
    /// Paths and names.
    pub folders: Vec<(PathBuf, String)>,
    /// What is passed over, each in a line of words.
    pub problems: Vec<String>,
}

impl Found {
    fn links(&mut self, path: &Path) -> Result<(), String> {
        for entry in entries(path)? {
            let below = path.join(entry);
            if is_linked(&below) && self.problems.len() < MAILBOXES_PER_ACCOUNT_MAX {
                self.problems.push(format!("{}: {IS_LINK}", below.display()));
            }
        }
        Ok(())
    }
}

fn entries(path: &Path) -> Result<Vec<std::ffi::OsString>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let names = std::fs::read_dir(path).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.file_name()));
    names.collect()
}

/// What lies in a folder, by name, without links.
fn folders_in(path: &Path) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let is_mail = ["cur", "new", "tmp"].iter().any(|own| name == OsStr::new(own));
        if !is_mail && entry.file_type().map_err(failed)?.is_dir() {
            match name.into_string() {
                Ok(name) => names.push(name),
                Err(name) if is_maildir(&path.join(&name)) => {
                    let path = path.join(&name);
                    let place = path.display();
                    return Err(format!("{place}: no mailbox can have this name, it is no UTF-8: rename it"));
                }
                Err(_) => {}
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Which layout a tree has.
pub fn layout_of(root: &Path) -> Result<Layout, String> {
    let plain = folders_in(root)?.into_iter().filter(|name| !name.starts_with('.'));
    for name in plain {
        if has_mail(&root.join(name), MAILBOX_LEVELS_MAX)? {
            return Ok(Layout::Fs);
        }
    }
    Ok(Layout::MaildirPlusPlus)
}

/// Whether there is mail in a folder or below it. One that cannot be looked into is told: it could decide the layout.
fn has_mail(path: &Path, levels: usize) -> Result<bool, String> {
    if is_maildir(path) {
        return Ok(true);
    }
    if levels > 1 {
        for name in folders_in(path)? {
            if has_mail(&path.join(name), levels - 1)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// All folders but the inbox: path and name.
pub fn folders(root: &Path, layout: Layout) -> Result<Found, String> {
    let mut found = Found::default();
    match layout {
        Layout::Fs => walk(root, "", 1, &mut found)?,
        Layout::MaildirPlusPlus | Layout::Auto => {
            found.links(root)?;
            for file in folders_in(root)? {
                let path = root.join(&file);
                if let Some(name) = file.strip_prefix('.').filter(|_| is_maildir(&path)) {
                    found.folders.push((path, name_of(name, '.')));
                }
            }
        }
    }
    match found.folders.len() < MAILBOXES_PER_ACCOUNT_MAX {
        true => Ok(found),
        false => Err(format!("{}: more than {MAILBOXES_PER_ACCOUNT_MAX} folders", root.display())),
    }
}

fn walk(path: &Path, name: &str, level: usize, found: &mut Found) -> Result<(), String> {
    found.links(path)?;
    for file in folders_in(path)? {
        // Dovecot keeps files of its own in folders with a leading dot.
        if file.starts_with('.') || found.folders.len() >= MAILBOXES_PER_ACCOUNT_MAX {
            continue;
        }
        let below = path.join(&file);
        let full = if name.is_empty() { file } else { format!("{name}/{file}") };
        if is_maildir(&below) {
            found.folders.push((below.clone(), name_of(&full, '/')));
        }
        if level < MAILBOX_LEVELS_MAX {
            walk(&below, &full, level + 1, found)?;
        }
    }
    Ok(())
}

/// A name from how it is spelt on disk: modified UTF-7, or UTF-8 where Dovecot was told so.
fn name_of(spelt: &str, separator: char) -> String {
    let decode = |level: &str| utf7::decode(level.as_bytes()).unwrap_or_else(|_| level.to_owned());
    let levels: Vec<String> = spelt.split(separator).map(decode).collect();
    let name = levels.join("/");
    if name.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { name }
}

/// The names in a file of subscriptions. Version 2 splits levels by tabs, version 1 by the layout's separator.
pub fn subscriptions(text: &str, layout: Layout) -> Vec<String> {
    let separator = if layout == Layout::Fs { '/' } else { '.' };
    let (lines, separator) = match text.strip_prefix("V\t2\n") {
        Some(rest) => (rest, '\t'),
        None => (text, separator),
    };
    lines.lines().filter(|line| !line.is_empty()).map(|line| name_of(line, separator)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_as_people_see_them() {
        assert_eq!(name_of("Work.2024", '.'), "Work/2024");
        assert_eq!(name_of("Entw&APw-rfe.a&-b", '.'), "Entwürfe/a&b");
        assert_eq!(name_of("Entwürfe", '.'), "Entwürfe");
        assert_eq!(name_of("v1.2/x", '/'), "v1.2/x");
        assert_eq!(name_of("inbox", '.'), "INBOX");
    }

    #[test]
    fn both_versions_of_subscriptions_are_read() {
        let expected = ["INBOX", "Work/2024"];
        assert_eq!(subscriptions("INBOX\nWork.2024\n", Layout::MaildirPlusPlus), expected);
        assert_eq!(subscriptions("INBOX\nWork/2024", Layout::Fs), expected);
        assert_eq!(subscriptions("V\t2\n\nINBOX\nWork\t2024\n", Layout::MaildirPlusPlus), expected);
    }

    #[test]
    fn folders_are_found_in_both_layouts() {
        let root = tempfile::tempdir().expect("a folder");
        let make = |path: &str| std::fs::create_dir_all(root.path().join(path)).expect("made");
        make("cur");
        make(".Sent/cur");
        make(".Work.2024/cur");
        make(".no-mail");
        assert_eq!(layout_of(root.path()), Ok(Layout::MaildirPlusPlus));
        let names = |layout| -> Vec<String> {
            folders(root.path(), layout).expect("read").folders.into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!(names(Layout::MaildirPlusPlus), ["Sent", "Work/2024"]);
        make("a/b.c/cur");
        assert_eq!(layout_of(root.path()), Ok(Layout::Fs));
        assert_eq!(names(Layout::Fs), ["a/b.c"]);
    }

    #[test]
    fn links_to_mail_are_told_and_not_followed() {
        let root = tempfile::tempdir().expect("a folder");
        let other = tempfile::tempdir().expect("a folder");
        let link =
            |to: &Path, name: &str| std::os::unix::fs::symlink(to, root.path().join(name)).expect("linked");
        std::fs::create_dir(other.path().join("cur")).expect("made");
        std::fs::create_dir_all(root.path().join("half")).expect("made");
        link(other.path(), "whole");
        link(other.path(), ".Whole");
        link(&other.path().join("cur"), "half/cur");
        link(root.path(), "loop");
        for layout in [Layout::Fs, Layout::MaildirPlusPlus] {
            let found = folders(root.path(), layout).expect("read");
            assert!(found.folders.is_empty(), "{found:?}");
            assert_eq!(found.problems.len(), 3, "{found:?}");
            assert!(found.problems.iter().all(|why| why.ends_with(IS_LINK)), "{found:?}");
        }
    }
}
