//! Caps: small files, small functions, short lines, heads that tell.
//!
//! *Owns*: the numbers and the exceptions. *Promises*: exceptions are a list that may only shrink: one that
//! is no longer needed fails too. *Assumes*: rustfmt's layout (a function ends where its indentation
//! closes). *Never*: counts tests.

use std::collections::BTreeMap;

use crate::source::Source;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
/// rustfmt keeps code at 110; texts and diagrams that read worse when broken have ten more.
const LINE_COLUMNS_MAX: usize = 120;
const FOLDER_FILES_MAX: usize = 16;

/// Files that may be longer. May only shrink.
const LONGER: &[&str] = &[];

/// Judges length of file, functions and lines.
pub fn check(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let excepted = LONGER.contains(&source.path.as_str());
    // A file of unit tests is as long as what it tests needs.
    let long = source.before_tests > FILE_LINES_MAX && !source.path.ends_with("/tests.rs");
    match (long, excepted) {
        (true, false) => found.push(format!(
            "{}: {} lines without tests, at most {FILE_LINES_MAX}: split what owns two things",
            source.path, source.before_tests
        )),
        (false, true) => found.push(format!("{}: is short now: strike it from the exceptions", source.path)),
        _ => {}
    }
    for (index, line) in source.lines.iter().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            found.push(format!(
                "{}:{}: {columns} columns, at most {LINE_COLUMNS_MAX}",
                source.path,
                index + 1
            ));
        }
    }
    found.extend(long_functions(source));
    found
}

fn long_functions(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let lines = &source.lines[..source.before_tests];
    for (start, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let opens =
            ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "async fn ", "pub async fn ", "const fn "];
        if !opens.iter().any(|word| text.starts_with(word)) {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let end = lines[start..].iter().position(|line| {
            *line == closing || (line.ends_with(';') && line.len() - line.trim_start().len() == indent)
        });
        let length = end.map_or(lines.len() - start, |end| end + 1);
        if length > FUNCTION_LINES_MAX {
            found.push(format!(
                "{}:{}: a function of {length} lines, at most {FUNCTION_LINES_MAX}: give its steps names",
                source.path,
                start + 1
            ));
        }
    }
    found
}

/// Judges how many files a folder holds.
pub fn check_folders(sources: &[Source]) -> Vec<String> {
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources {
        *files.entry(source.path.rsplit_once('/').map_or("", |(folder, _)| folder)).or_default() += 1;
    }
    let full = files.iter().filter(|&(_, &count)| count > FOLDER_FILES_MAX);
    full.map(|(folder, count)| {
        format!("{folder}: {count} files, at most {FOLDER_FILES_MAX}: make a folder inside")
    })
    .collect()
}

/// Judges the module head: what it owns, promises, assumes, and never does. Small files of plain lists are
/// let off.
pub fn check_head(source: &Source) -> Vec<String> {
    let head: Vec<&String> = source.lines.iter().take_while(|line| line.starts_with("//!")).collect();
    if head.is_empty() {
        return vec![format!(
            "{}:1: no module head: say what it owns, promises, assumes and never does",
            source.path
        )];
    }
    if source.is_test() || source.before_tests < 80 {
        return Vec::new();
    }
    let text = head.iter().map(|line| line.as_str()).collect::<String>();
    let missing: Vec<&str> = ["*Owns*", "*Promises*", "*Assumes*", "*Never*"]
        .into_iter()
        .filter(|part| !text.contains(part))
        .collect();
    match missing.is_empty() {
        true => Vec::new(),
        false => vec![format!("{}:1: the head lacks {}", source.path, missing.join(", "))],
    }
}
