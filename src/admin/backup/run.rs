//! One run of a backup.
//!
//! *Owns*: the order of its steps. *Promises*: the manifest counts last; files that go away meanwhile cost another
//! list, a bounded number of times. *Assumes*: the folder is ours. *Never*: removes before the new manifest is
//! durable.
//!
//! Segments come first, ascending, then checkpoint and packs, so that a folder in the making is a log that goes less
//! far.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use ringpost_engine::io::FileId;

use super::folder::Folder;
use super::manifest::{Manifest, ShardMade};
use super::place::{Fault, Placed, Placer, place_small};
use super::report::Report;
use crate::admin::client::Client;
use crate::admin::wire::{Line, Request};
use crate::limits::{BACKUP_ATTEMPTS_MAX, BACKUP_FILES_MAX};

/// What a start needs besides the shards' folders, as far as it is there. The first says which store it is.
const SMALL: [&str; 6] =
    [SHARDS, "url.key", "demo-accounts-made", "ringpost.toml", "tls/certificate.pem", "tls/private-key.pem"];
const SHARDS: &str = "shards";

/// What the server listed.
struct List {
    shards: Vec<ShardMade>,
    files: Vec<Listed>,
}

struct Listed {
    path: String,
    bytes: Option<u64>,
    /// The server may be done with it soon.
    is_fleeting: bool,
}

/// Makes a backup of `data` in `folder`, or brings the one that is there up to date.
///
/// # Errors
/// One line; the folder holds what it held, and perhaps more files, and says that it is not complete.
pub fn run(data: &Path, mut folder: Folder, copy: bool, report: &mut Report) -> Result<(), String> {
    let client = Client::new(data);
    let mut placer = Placer::new(copy);
    for _ in 0..BACKUP_ATTEMPTS_MAX {
        report.sealing();
        let mut manifest = Manifest::new(Vec::new(), BTreeMap::new());
        let list = ask(&client)?;
        match check(data, folder.path(), &list, &placer) {
            Ok(()) => {}
            Err(Fault::Gone) => continue,
            Err(Fault::Told(why)) => return Err(why),
        }
        folder.announce(list.files.iter().map(|file| file.path.clone()).chain(SMALL.map(str::to_string)))?;
        manifest.files = match fill(data, folder.path(), &list, &mut placer, report) {
            Ok(files) => files,
            Err(Fault::Gone) => continue,
            Err(Fault::Told(why)) => return Err(why),
        };
        manifest.shards = list.shards;
        let path = folder.path().to_owned();
        let removed = folder.complete(&manifest)?;
        return report.end(&path, &manifest, removed, placer.copying());
    }
    Err(format!(
        "files went away {BACKUP_ATTEMPTS_MAX} times before they could be linked or copied: try again when less is \
         going on, or give a folder on the data folder's file system"
    ))
}

fn ask(client: &Client) -> Result<List, String> {
    let mut list = List { shards: Vec::new(), files: Vec::new() };
    client.call(&Request::Backup, &mut |line| match line {
        Line::Sealed { shard, position } => {
            list.shards.push(ShardMade { shard, position });
            Ok(())
        }
        Line::File { name, bytes } => {
            let file = FileId::of_name(&name)
                .ok_or_else(|| format!("the server named {name:?}, no file of a log"))?;
            let shard = list.shards.last().ok_or("the server named a file before its shard")?;
            let path = format!("shard-{:03}/{name}", shard.shard);
            list.files.push(Listed { path, bytes, is_fleeting: matches!(file, FileId::Checkpoint(_)) });
            match list.files.len() > BACKUP_FILES_MAX {
                true => Err(format!("the store has more than {BACKUP_FILES_MAX} files")),
                false => Ok(()),
            }
        }
        other => Err(format!("the server answered something else: {other:?}")),
    })?;
    Ok(list)
}

/// Puts every file of the list and every small one into the folder. Returns them all, with their bytes.
fn fill(
    data: &Path,
    folder: &Path,
    list: &List,
    placer: &mut Placer,
    report: &mut Report,
) -> Result<BTreeMap<String, u64>, Fault> {
    placer.release();
    for file in list.files.iter().filter(|file| file.is_fleeting) {
        placer.hold(&file.path, &data.join(&file.path))?;
    }
    report.begin(list.files.iter().filter_map(|file| file.bytes).sum());
    let was_copying = placer.copying().is_some();
    let mut files = BTreeMap::new();
    for shard in &list.shards {
        make_folder(&folder.join(format!("shard-{:03}", shard.shard)))?;
    }
    for Listed { path, bytes, .. } in &list.files {
        let (placed, bytes) = placer.place(path, *bytes, &data.join(path), &folder.join(path))?;
        if let Some(why) = placer.copying().filter(|_| !was_copying) {
            report.copying(folder, why);
        }
        report.placed(path, placed, bytes);
        files.insert(path.clone(), bytes);
    }
    for path in SMALL {
        let from = data.join(path);
        if from.exists() {
            if let Some(parent) = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty()) {
                make_folder(&folder.join(parent))?;
            }
            let (placed, bytes): (Placed, u64) = place_small(&from, &folder.join(path))?;
            report.placed(path, placed, bytes);
            files.insert(path.to_string(), bytes);
        }
    }
    Ok(files)
}

/// Whether what the folder holds is of this store, with its number of shards, before anything is put beside it.
fn check(data: &Path, folder: &Path, list: &List, placer: &Placer) -> Result<(), Fault> {
    let read = |path: &Path| match std::fs::read(path) {
        Ok(shards) => Ok(Some(shards)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::Told(format!("{}: {error}", path.display()))),
    };
    match (read(&data.join(SHARDS))?, read(&folder.join(SHARDS))?) {
        (Some(ours), Some(theirs)) if ours != theirs => {
            let [ours, theirs] = [ours, theirs].map(|text| String::from_utf8_lossy(&text).trim().to_owned());
            return Err(Fault::Told(format!(
                "{} holds a backup of {theirs} shards, and the store has {ours}: after `ringpost-log reshard` begin a \
                 new folder; `ringpost account restore --from` reads the old one as long as it is kept",
                folder.display()
            )));
        }
        _ => {}
    }
    list.files.iter().try_for_each(|Listed { path, .. }| placer.check(&data.join(path), &folder.join(path)))
}

fn make_folder(path: &Path) -> Result<(), Fault> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Fault::Told(format!("{}: cannot be made: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;

    use super::*;

    const NAMES: [&str; 3] = ["0000000001.seg", "0000000002.seg", "0000000009.ckp"];

    /// A data folder, and something that answers in it: each time with the next list.
    fn serve(data: &Path, lists: Vec<Vec<&'static str>>) -> JoinHandle<()> {
        fs::create_dir(data.join("shard-000")).unwrap();
        for name in NAMES {
            fs::write(data.join("shard-000").join(name), name).unwrap();
        }
        fs::write(data.join(SHARDS), "1\n").unwrap();
        let socket = UnixListener::bind(data.join("admin.sock")).unwrap();
        std::thread::spawn(move || {
            for list in lists {
                let (client, _) = socket.accept().unwrap();
                BufReader::new(&client).read_line(&mut String::new()).unwrap();
                let line =
                    |line: &Line| writeln!(&client, "{}", serde_json::to_string(line).unwrap()).unwrap();
                line(&Line::Sealed { shard: 0, position: 4096 });
                list.iter().for_each(|name| line(&Line::File { name: (*name).to_string(), bytes: None }));
                line(&Line::Done);
            }
        })
    }

    fn back_up(data: &Path, folder: &Path) -> Result<(), String> {
        run(data, Folder::take(folder, data)?, false, &mut Report::new(true))
    }

    #[test]
    fn a_file_that_went_away_costs_another_list_and_what_is_over_goes() {
        let (data, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let gone = vec![NAMES[0], "0000000007.ckp"];
        let server = serve(data.path(), vec![gone, NAMES.to_vec(), NAMES[..2].to_vec(), NAMES.to_vec()]);
        let checkpoint = target.path().join("shard-000").join(NAMES[2]);
        back_up(data.path(), target.path()).unwrap();
        assert!(checkpoint.exists());
        let files = Manifest::read(target.path()).unwrap().unwrap().files;
        assert_eq!((files.len(), files[SHARDS], files["shard-000/0000000009.ckp"]), (4, 2, 14));
        back_up(data.path(), target.path()).unwrap();
        assert!(!checkpoint.exists(), "the newer manifest does not name it");
        assert_eq!(Manifest::read(target.path()).unwrap().unwrap().files.len(), 3);
        fs::write(target.path().join(SHARDS), "3\n").unwrap();
        let refused = back_up(data.path(), target.path()).unwrap_err();
        assert!(
            refused.contains("of 3 shards, and the store has 1") && refused.contains("reshard"),
            "{refused}"
        );
        server.join().unwrap();
    }

    #[test]
    fn files_that_never_hold_still_and_names_that_are_none_end_in_one_line() {
        let (data, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut lists = vec![vec!["0000000007.seg"]; BACKUP_ATTEMPTS_MAX as usize];
        lists.push(vec!["../../etc/passwd"]);
        let server = serve(data.path(), lists);
        assert!(back_up(data.path(), target.path()).unwrap_err().contains("went away 10 times"));
        assert!(back_up(data.path(), target.path()).unwrap_err().contains("no file of a log"));
        assert_eq!(Manifest::read(target.path()), Ok(None));
        server.join().unwrap();
    }
}
