//! One file a message.
//!
//! *Owns*: folders of `.eml` files, as they lie or in a tar file, and their `index.jsonl`, a line for each message:
//! `{"file": "7.eml", "internal_ms": 0, "flags": ["\\Seen", "$Todo"]}`. *Promises*: octets as they are stored.
//! *Assumes*: without an index the date is the file's, and there are no flags. *Never*: follows a name out of the
//! folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use ringpost_engine::change::Flags;
use ringpost_engine::limits::MAILBOX_LEVELS_MAX;
use serde_json::{Value, json};

use super::{IS_LINK, Kind, NO_NAME, PassedOver, TOO_DEEP, beside, listed, maildir, told};
use crate::carry::{Folder, Found, Mail, Sink, Source, names};
use crate::{Failure, describe};

const INDEX: &str = "index.jsonl";
const SUBSCRIPTIONS: &str = "subscriptions.txt";
const EXTENSION: &str = ".eml";

/// Flags and INTERNALDATE by file.
type Index = BTreeMap<String, (Flags, Option<u64>)>;

/// Folders of `.eml` files that are read.
pub struct EmlFolder {
    root: PathBuf,
    /// Names, and paths below the root.
    folders: Vec<(String, PathBuf)>,
    passed_over: PassedOver,
}

impl EmlFolder {
    /// Finds the folders; files that lie in `root` itself are `mailbox`.
    pub fn open(root: &Path, mailbox: &str) -> Result<EmlFolder, Failure> {
        let (mut folders, mut passed_over) = (Vec::new(), PassedOver::new());
        find(root, Path::new(""), mailbox, 0, &mut folders, &mut passed_over)?;
        if folders.is_empty() && passed_over.is_empty() {
            return Err(format!("{} holds no file that ends in {EXTENSION}", root.display()));
        }
        folders.sort();
        Ok(EmlFolder { root: root.to_owned(), folders, passed_over })
    }
}

fn find(
    root: &Path,
    below: &Path,
    mailbox: &str,
    depth: usize,
    folders: &mut Vec<(String, PathBuf)>,
    passed_over: &mut PassedOver,
) -> Result<(), Failure> {
    let mut holds_mail = false;
    for name in listed(&root.join(below))? {
        let inner = below.join(&name.own);
        if name.kind == Kind::LinkedFolder {
            passed_over.push((root.join(&inner).display().to_string(), IS_LINK.to_owned()));
        } else if name.kind == Kind::Folder {
            match depth < MAILBOX_LEVELS_MAX {
                true => find(root, &inner, mailbox, depth + 1, folders, passed_over)?,
                false => passed_over.push((root.join(&inner).display().to_string(), TOO_DEEP.to_owned())),
            }
        } else {
            holds_mail |= name.text.ends_with(EXTENSION) || name.text == INDEX;
        }
    }
    let name = if depth == 0 { Some(mailbox.to_owned()) } else { names::of_path(below) };
    match name.filter(|_| holds_mail) {
        Some(name) => folders.push((name, below.to_owned())),
        None if holds_mail => passed_over.push((root.join(below).display().to_string(), NO_NAME.to_owned())),
        None => {}
    }
    Ok(())
}

/// What an index tells of its files, and how many of its lines cannot be read.
fn index(folder: &Path) -> Result<(Index, usize), Failure> {
    let text = beside(&folder.join(INDEX))?;
    let line = |line: &str| {
        let object: Value = serde_json::from_str(line).ok()?;
        let mut flags = Flags::default();
        for name in object["flags"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            match describe::system_flag(name) {
                Some(bit) => flags.system = flags.system.union(bit),
                None => flags.keywords.push(name.to_owned()),
            }
        }
        Some((object["file"].as_str()?.to_owned(), (flags, object["internal_ms"].as_u64())))
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let (told, broken): (Vec<_>, Vec<_>) = lines.map(line).partition(Option::is_some);
    Ok((told.into_iter().flatten().collect(), broken.len()))
}

impl Source for EmlFolder {
    fn folders(&self) -> Vec<String> {
        self.folders.iter().map(|(name, _)| name.clone()).collect()
    }

    fn each(&mut self, at: usize, tell: &mut dyn FnMut(Found) -> Result<(), Failure>) -> Result<(), Failure> {
        let folder = self.root.join(&self.folders[at].1);
        let (mut index, broken) = index(&folder)?;
        if broken > 0 {
            let why = format!("{broken} lines cannot be read: flags and dates that they tell are not taken");
            tell(Found::Unreadable { place: folder.join(INDEX).display().to_string(), why })?;
        }
        let mut files = listed(&folder)?;
        files.retain(|name| name.text.ends_with(EXTENSION) && name.kind == Kind::Other);
        // Numbers by their value, everything else behind them.
        let number = |name: &str| name.strip_suffix(EXTENSION).and_then(|stem| stem.parse::<u64>().ok());
        files.sort_by_key(|name| number(&name.text).unwrap_or(u64::MAX));
        for name in files {
            let (flags, internal_ms) = index.remove(&name.text).unwrap_or_default();
            let found = match maildir::read(&folder.join(&name.own), flags) {
                Found::Mail(mail) => {
                    Found::Mail(Mail { internal_ms: internal_ms.unwrap_or(mail.internal_ms), ..mail })
                }
                unreadable => unreadable,
            };
            tell(found)?;
        }
        Ok(())
    }

    fn passed_over(&self) -> &[(String, String)] {
        &self.passed_over
    }

    fn subscriptions(&self) -> Result<Vec<String>, Failure> {
        let text = beside(&self.root.join(SUBSCRIPTIONS))?;
        Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }
}

/// Where files go.
pub enum Tree {
    /// Into a folder.
    Folder(PathBuf),
    /// Into a tar file.
    Tar(PathBuf, Box<tar::Builder<BufWriter<File>>>),
}

impl Tree {
    /// A new folder.
    pub fn folder(root: &Path) -> Result<Tree, Failure> {
        fs::create_dir_all(root).map_err(|error| told(root, &error))?;
        Ok(Tree::Folder(root.to_owned()))
    }

    /// A new tar file.
    pub fn tar(path: &Path) -> Result<Tree, Failure> {
        let file = File::create_new(path).map_err(|error| told(path, &error))?;
        Ok(Tree::Tar(path.to_owned(), Box::new(tar::Builder::new(BufWriter::new(file)))))
    }

    fn file(&mut self, path: &Path, seconds: u64, octets: &[u8]) -> Result<(), Failure> {
        match self {
            Tree::Folder(root) => {
                let path = root.join(path);
                let write = || {
                    path.parent().map_or(Ok(()), fs::create_dir_all)?;
                    let mut file = File::create_new(&path)?;
                    file.write_all(octets)?;
                    file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
                };
                write().map_err(|error| told(&path, &error))
            }
            Tree::Tar(name, tar) => {
                let mut header = tar::Header::new_gnu();
                header.set_size(octets.len() as u64);
                header.set_mode(0o600);
                header.set_mtime(seconds);
                tar.append_data(&mut header, path, octets).map_err(|error| told(name, &error))
            }
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Tree::Folder(_) => Ok(()),
            Tree::Tar(name, tar) => {
                let ended = tar.finish().and_then(|()| tar.get_mut().flush());
                ended.map_err(|error| told(name, &error))
            }
        }
    }
}

/// Files that are being made.
pub struct Making {
    tree: Tree,
    /// The folder that is being written, and its index.
    open: Option<(PathBuf, String)>,
}

impl Making {
    /// Into this tree.
    pub fn new(tree: Tree) -> Making {
        Making { tree, open: None }
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self.open.take() {
            Some((path, index)) => self.tree.file(&path.join(INDEX), 0, index.as_bytes()),
            None => Ok(()),
        }
    }
}

impl Sink for Making {
    fn folder(&mut self, folder: &Folder) -> Result<bool, Failure> {
        self.close()?;
        self.open = Some((names::path(&folder.name), String::new()));
        Ok(names::is_kept_in_path(&folder.name))
    }

    fn mail(&mut self, uid: u32, mail: &Mail) -> Result<Option<&'static str>, Failure> {
        let Some((path, index)) = &mut self.open else { return Err("a message without a folder".to_owned()) };
        let name = format!("{uid}{EXTENSION}");
        let flags = describe::flags(&mail.flags);
        let line = json!({"file": name, "internal_ms": mail.internal_ms, "flags": flags});
        *index += &format!("{line}\n");
        self.tree.file(&path.join(name), mail.internal_ms / 1000, &mail.octets)?;
        let lost = crate::carry::as_sent(mail.octets.clone()) != mail.octets;
        Ok(lost.then_some("line ends, when it is imported again: its first line ends by LF alone"))
    }

    fn finish(&mut self, subscriptions: &[String]) -> Result<(), Failure> {
        self.close()?;
        let lines: String = subscriptions.iter().map(|name| format!("{name}\n")).collect();
        self.tree.file(Path::new(SUBSCRIPTIONS), 0, lines.as_bytes())?;
        self.tree.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost_engine::change::FlagBits;

    #[test]
    fn an_index_that_is_damaged_tells_what_it_can() {
        let folder = tempfile::tempdir().expect("a folder");
        let line = r#"{"file": "1.eml", "flags": ["\\Seen", "$k"], "internal_ms": 5}"#;
        let lines = format!("x\n{line}\n{{\"flags\": []}}\n");
        fs::write(folder.path().join(INDEX), lines).expect("written");
        let flags = Flags { system: FlagBits::SEEN, keywords: vec!["$k".to_owned()] };
        let told = BTreeMap::from([("1.eml".to_owned(), (flags, Some(5)))]);
        assert_eq!(index(folder.path()), Ok((told, 2)));
    }
}
