//! The architecture diagram and the house style, as a test.
//!
//! *Owns*: the walls between folders, the caps on files and functions, the list of bans. *Promises*: a
//! violation names file, line, rule and remedy. *Assumes*: sources are formatted by rustfmt. *Never*:
//! compiles anything.

mod bans;
mod caps;
mod layers;
mod readme;
mod source;

use source::{Source, sources};

/// Runs one rule over every source and fails with all it found.
fn judge(rule: impl Fn(&Source) -> Vec<String>) {
    let sources = sources();
    assert!(sources.len() > 20, "the walk found only {} sources: it looks in the wrong place", sources.len());
    let found: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn folders_use_only_what_stands_below_them() {
    judge(layers::check);
}

#[test]
fn files_functions_and_lines_stay_small() {
    judge(caps::check);
}

#[test]
fn folders_stay_small() {
    let found = caps::check_folders(&sources());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn banned_words_do_not_appear() {
    judge(bans::check);
}

#[test]
fn every_module_says_what_it_owns_promises_assumes_and_never_does() {
    judge(caps::check_head);
}

#[test]
fn references_to_rfcs_name_a_section() {
    judge(bans::check_references);
}

#[test]
fn what_the_readme_names_exists() {
    let found = readme::missing();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn decisions_stand_in_order_of_their_numbers() {
    let numbers = readme::decisions();
    assert!(numbers.len() > 40, "only {} decisions: they are read wrongly", numbers.len());
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}: newest last, none twice");
}

#[test]
fn nothing_stands_at_the_top_that_does_not_belong_there() {
    let allowed = [
        ".ci",
        ".gitignore",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "DECISIONS.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "bench",
        "engine",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "src",
        "tests",
        "tools",
    ];
    let local = [".git", "target", "data"];
    for entry in std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = allowed.contains(&name.as_str()) || local.contains(&name.as_str());
        assert!(
            known,
            "{name} stands at the top level: move it into a folder or add it to the list with a reason"
        );
    }
}
