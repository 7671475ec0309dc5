//! What released versions have written is read, and what newer ones write is refused by name.
//!
//! *Owns*: the fixtures: a folder `vN` for each format version, a small data folder that is a backup as well, with
//! every kind of file; `vN.json` says what it holds. *Promises*: each of them opens, and shows what it showed when it
//! was made. *Assumes*: a released fixture is never made again; `engine/README.md` §1.6 has the rule. *Never*: writes
//! into a fixture, but for `make fixtures`.

mod listing;
mod made;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ringpost::admin::backup::Manifest;
use ringpost_engine::ids::ShardId;
use ringpost_engine::log::FORMAT;
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{self, BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use ringpost_engine::store::Store;
use ringpost_engine::verify::verify;
use serde_json::Value;
use tempfile::TempDir;

/// Set, it makes the fixture of the version that this code writes.
const WRITE: &str = "RINGPOST_FIXTURES";
/// Kinds of changes (engine/README.md §1.4).
const KINDS: [std::ops::RangeInclusive<u8>; 4] = [1..=26, 32..=33, 36..=37, 42..=45];
/// Of a Reap.
const KIND_REAP: u8 = 26;
const TO_DO: &str = "If what is written has changed on purpose: raise log::FORMAT, keep the old fixture, and add one \
    (engine/README.md §1.6; make fixtures). If nothing was released since the fixture was made, make it again.";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

fn copied(from: &Path) -> TempDir {
    let to = TempDir::new().expect("a folder can be made");
    copy(from, to.path());
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).expect("it can be copied")),
        }
    }
}

fn open(data: &Path, shard: u16) -> Result<Store, String> {
    let mut disk = made::files(data, ShardId(shard));
    let opened = Store::open(&mut disk, made::options(ShardId(shard)), made::START);
    let (store, report) = opened.map_err(|error| error.to_string())?;
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    let verified = verify(&store, &mut disk).expect("readable");
    assert!(verified.is_sound(), "{verified:?}");
    Ok(store)
}

/// What a data folder shows to a server that opens it.
fn shown(data: &Path) -> Value {
    let shards = [0, 1].map(|shard| listing::shard(&open(data, shard).expect("it opens")));
    Value::Array(shards.into())
}

/// The kinds of files in a folder, by their endings, or their names where they have none.
fn kinds(data: &Path) -> BTreeSet<String> {
    let folders = [data.to_owned(), data.join("shard-000"), data.join("shard-001")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    let kind =
        |path: PathBuf| path.extension().or(path.file_name()).map(|kind| kind.to_string_lossy().into_owned());
    files.filter_map(kind).collect()
}

/// Format versions that have a fixture.
fn versions() -> Vec<(u16, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let version = name.strip_prefix('v').and_then(|number| number.parse().ok());
        found.extend(version.filter(|_| path.is_dir()).map(|version| (version, path.clone())));
    }
    found.sort();
    found
}

#[test]
fn what_every_version_wrote_is_read() {
    if std::env::var_os(WRITE).is_some() {
        write();
    }
    let versions = versions();
    assert!(
        versions.iter().any(|(version, _)| *version == FORMAT),
        "there is no fixture of format {FORMAT}. {TO_DO}"
    );
    for (version, path) in versions {
        let text = fs::read_to_string(root().join(format!("v{version}.json"))).expect("a listing beside it");
        let expected: Value = serde_json::from_str(&text).expect("JSON");
        let copy = copied(&path);
        let found = shown(copy.path());
        assert_eq!(found, expected, "format {version} does not show any more what it showed. {TO_DO}");
        // Read as a server left it, and written by this version since.
        assert_eq!(shown(copy.path()), expected, "format {version}, started a second time");
        let manifest = Manifest::read(&path).expect("readable").expect("there is one");
        assert_eq!(manifest.missing(&path), [], "format {version}");
    }
}

#[test]
fn the_fixture_is_what_this_version_writes() {
    let data = TempDir::new().expect("a folder can be made");
    made::make(data.path());
    let own = root().join(format!("v{FORMAT}"));
    assert_eq!(kinds(data.path()), kinds(&own), "the files of format {FORMAT}. {TO_DO}");
    let wanted = ["ckp", "json", "pack", "seg", "shards"].map(str::to_owned);
    assert_eq!(kinds(&own), BTreeSet::from(wanted), "one of every kind");
    let copy = copied(&own);
    assert_eq!(shown(data.path()), shown(copy.path()), "what is in format {FORMAT}. {TO_DO}");
}

/// The kinds of a log's records.
#[derive(Default)]
struct Kinds(BTreeSet<u8>);

impl Visitor for Kinds {
    fn segment(&mut self, _: &SegmentInfo) {}

    fn batch(&mut self, _: &BatchInfo) {}

    fn record(&mut self, record: &RecordInfo, _: &[u8]) {
        self.0.insert(record.meta.kind);
    }

    fn damage(&mut self, damage: &Damage) {
        panic!("a fixture is sound: {damage:?}");
    }
}

#[test]
fn the_fixture_has_every_kind_of_record_and_compressed_bodies() {
    let own = copied(&root().join(format!("v{FORMAT}")));
    let mut found = Kinds::default();
    // Of the other shard only what is alive is left.
    scan::scan(&mut made::files(own.path(), ShardId(1)), None, &mut found).expect("readable");
    let changes = KINDS.into_iter().flatten();
    let wanted: BTreeSet<u8> = changes.chain([KIND_WITNESS, KIND_BODY]).collect();
    // What lets go what was removed is in the shard where nothing can be had back.
    let missing: Vec<&u8> = wanted.difference(&found.0).filter(|kind| **kind != KIND_REAP).collect();
    assert!(missing.is_empty(), "kinds {missing:?} are in no fixture. {TO_DO}");
    let store = open(own.path(), 0).expect("it opens");
    let mailboxes = store.accounts_after("").flat_map(|account| account.mailboxes());
    let messages = mailboxes.flat_map(|mailbox| (0..mailbox.len()).map(move |place| mailbox.message(place)));
    let bodies = messages.filter_map(|message| store.body(message.key()));
    assert!(bodies.filter(|body| body.bytes.as_sent().is_none()).count() > 0, "compressed bodies. {TO_DO}");
}

/// Makes the fixture of this version anew.
fn write() {
    let own = root().join(format!("v{FORMAT}"));
    if own.exists() {
        fs::remove_dir_all(&own).expect("it can be removed");
    }
    made::make(&own);
    fs::remove_file(own.join("lock")).unwrap_or_default();
    let listing = serde_json::to_string_pretty(&shown(copied(&own).path())).expect("JSON");
    fs::write(root().join(format!("v{FORMAT}.json")), listing + "\n").expect("it can be written");
}

/// Gives a file's head a version that nobody knows yet, under a sum that is right.
fn raise(path: &Path, version: u16) {
    let mut bytes = fs::read(path).expect("it can be read");
    bytes[8..10].copy_from_slice(&version.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    fs::write(path, bytes).expect("it can be written");
}

#[test]
fn a_newer_version_of_any_file_is_refused_by_name() {
    let own = root().join(format!("v{FORMAT}"));
    for extension in ["seg", "ckp", "pack"] {
        let data = copied(&own);
        let shard = data.path().join("shard-000");
        let entries = fs::read_dir(&shard).expect("a folder").map(|entry| entry.expect("an entry").path());
        let newest = entries.filter(|path| path.extension().is_some_and(|own| own == extension)).max();
        let newest = newest.expect("one of every kind");
        raise(&newest, FORMAT + 8);
        let before = fs::read(&newest).expect("readable");
        let refused = open(data.path(), 0).err().expect("it is refused");
        let name = newest.file_name().expect("a name").to_string_lossy().into_owned();
        let (found, known) = (FORMAT + 8, FORMAT);
        let told =
            format!("{name} has format {found}, this version knows up to {known}: use a newer ringpost");
        assert_eq!(refused, told);
        assert_eq!(fs::read(&newest).expect("still there"), before, "and left as it is");
    }
}

#[test]
fn a_newer_manifest_is_refused_by_name() {
    let data = copied(&root().join(format!("v{FORMAT}")));
    let path = data.path().join("backup.json");
    let text = fs::read_to_string(&path).expect("readable").replace("\"format\": 1", "\"format\": 9");
    fs::write(&path, text).expect("it can be written");
    let refused = Manifest::read(data.path()).expect_err("it is refused");
    assert!(refused.ends_with("backup.json: has form 9, known is 1: use a newer ringpost"), "{refused}");
}
