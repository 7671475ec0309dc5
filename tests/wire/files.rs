//! The files below `transcripts/`.

use std::path::Path;

/// One of them.
pub struct Transcript {
    /// Its path below `transcripts/`.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Every transcript of a folder and of the folders in it, in order; there must be some.
pub fn transcripts(folder: &str) -> Vec<Transcript> {
    let mut found = Vec::new();
    walk(folder, &mut found);
    assert!(!found.is_empty(), "no transcript in {folder}");
    found
}

fn walk(folder: &str, found: &mut Vec<Transcript>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/transcripts").join(folder);
    let mut entries: Vec<_> = std::fs::read_dir(path)
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.expect("a folder can be listed").path())
        .collect();
    entries.sort();
    for entry in entries {
        let name = format!("{folder}/{}", entry.file_name().unwrap_or_default().to_string_lossy());
        if entry.is_dir() {
            walk(&name, found);
        } else {
            let text = std::fs::read_to_string(&entry).unwrap_or_else(|error| panic!("{name}: {error}"));
            found.push(Transcript { name, text });
        }
    }
}
