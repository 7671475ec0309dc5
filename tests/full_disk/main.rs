//! A real server on a disk that is full, and on one that breaks.
//!
//! `tests/full-disk.sh` (`make full-disk`) mounts the small file systems and runs this with their places in the
//! environment; without them every test here fails, for none of it can be shown on a large healthy disk.

#[path = "../support/server.rs"]
mod server;

mod broken;
mod full;
mod user;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// One shard, the smallest segments, and nothing that keeps room from coming back at once.
const CONFIG: &str = r#"
hostname = "mail.example.test"
shards = 1
pin_threads = false
[listen]
smtp = []
submission = []
submissions = []
lmtp = ["127.0.0.1:0"]
pop3 = ["127.0.0.1:0"]
pop3s = []
imap = ["127.0.0.1:0"]
imaps = []
[limits]
message_bytes_max = 4194304
[store]
segment_bytes = 16777216
undelete_days = 0
"#;

/// A place that the script made for a test.
fn place(variable: &str) -> PathBuf {
    let set = std::env::var(variable);
    PathBuf::from(set.unwrap_or_else(|_| panic!("{variable} is not set: run `make full-disk`")))
}

/// A folder for [`server::Server::start`] whose data lies on that disk, and its log elsewhere.
fn folder_on(disk: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(disk.join("data")).unwrap();
    std::os::unix::fs::symlink(disk.join("data"), folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("ringpost.toml"), CONFIG).unwrap();
    folder
}
