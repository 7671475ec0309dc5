//! What documents say of the tree.
//!
//! *Owns*: the paths in backticks of the documents for newcomers, and the order of decisions. *Promises*: each
//! path exists, from the top level. *Assumes*: a word in backticks with a slash in it, or that ends like a
//! document, is a path. *Never*: reads fenced blocks; those show commands and their output.

use std::path::Path;

/// Documents whose paths are checked.
const DOCUMENTS: [&str; 1] = ["README.md"];

/// The numbers of the decisions, as they stand.
pub fn decisions() -> Vec<u32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("DECISIONS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
    headings.map(|line| line.split('.').next().and_then(|number| number.parse().ok()).unwrap()).collect()
}

/// What is named and does not exist.
pub fn missing() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let paths = paths(&text);
        assert!(paths.len() > 20, "{document} names only {} paths: they are read wrongly", paths.len());
        let gone = paths.into_iter().filter(|(_, path)| !root.join(path).exists());
        found.extend(gone.map(|(line, path)| format!("{document}:{line}: `{path}` does not exist")));
    }
    found
}

/// Paths in backticks outside fences, with their line.
fn paths(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let quoted = line.split('`').skip(1).step_by(2);
            found.extend(quoted.filter(|word| is_path(word)).map(|word| (index + 1, word)));
        }
    }
    found
}

fn is_path(word: &str) -> bool {
    // What a build makes is not there before the build.
    let made = word.starts_with("target/");
    let local = !made && !word.starts_with(['/', '-']) && !word.contains([' ', ':', '@']);
    local && (word.contains('/') || word.ends_with(".md"))
}

#[test]
fn a_path_is_told_from_a_command_and_an_address() {
    let text = "see `src/lib.rs` and `make run`, `a@b/c`, `README.md`\n```\n`no/such`\n```\n`tests/tidy`\n";
    assert_eq!(paths(text), [(1, "src/lib.rs"), (1, "README.md"), (5, "tests/tidy")]);
}
