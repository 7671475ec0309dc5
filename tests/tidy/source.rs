//! The sources as the rules see them.
//!
//! *Owns*: the walk and the split of a file into lines of code, comments and tests. *Promises*: paths are
//! relative to the repository. *Assumes*: unit tests stand at the bottom, behind `#[cfg(test)]`. *Never*:
//! parses Rust.

use std::path::Path;

/// A Rust source file.
pub struct Source {
    /// Relative path with `/`.
    pub path: String,
    /// All lines.
    pub lines: Vec<String>,
    /// How many of them stand before the unit tests.
    pub before_tests: usize,
}

impl Source {
    /// Lines of code outside tests, numbered from 1, comments and the contents of string literals blanked.
    pub fn code(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        self.lines[..self.before_tests].iter().enumerate().map(|(index, line)| (index + 1, bare(line)))
    }

    /// Whether this is a test or a benchmark, which may do what production may not.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }
}

/// Every `.rs` file of the workspace.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "engine", "bench", "tools", "tests"] {
        walk(root, &root.join(folder), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                walk(root, &path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<String> = text.lines().map(str::to_string).collect();
            let tests =
                |line: &String| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
            let before_tests = match lines.iter().position(tests) {
                // `#[cfg(test)] mod tests;` points at a file of tests; what follows it is code still.
                Some(at) if !lines.get(at + 1).is_some_and(|next| next.ends_with(';')) => at,
                _ => lines.len(),
            };
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push(Source { path, lines, before_tests });
        }
    }
}

/// A line without its comment and without what its string literals say.
fn bare(line: &str) -> String {
    let mut out = String::new();
    let (mut quoted, mut escaped) = (false, false);
    let bytes = line.as_bytes();
    for (at, c) in line.char_indices() {
        if quoted {
            (quoted, escaped) = (escaped || c != '"', !escaped && c == '\\');
        } else if c == '"' && (at == 0 || bytes[at - 1] != b'\'') {
            quoted = true;
        } else if line[at..].starts_with("//") {
            break;
        } else {
            out.push(c);
        }
    }
    out
}
