//! What a backup tells.
//!
//! *Owns*: the counts, the progress on a terminal, the last line. *Promises*: the same figures as text and as JSON.
//! *Assumes*: results on standard output, everything else on standard error. *Never*: decides.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::manifest::Manifest;
use super::place::Placed;
use crate::admin::cli::output::say;

/// Counts of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    linked: u64,
    copied: u64,
    kept: u64,
    bytes: u64,
    bytes_new: u64,
}

/// See the module's head.
pub struct Report {
    json: bool,
    bar: ProgressBar,
    began: Instant,
    counts: Counts,
    told_copying: bool,
}

impl Report {
    /// For people, or as JSON.
    pub fn new(json: bool) -> Report {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(0).with_style(style()),
            false => ProgressBar::hidden(),
        };
        Report { json, bar, began: Instant::now(), counts: Counts::default(), told_copying: false }
    }

    /// The server is asked.
    pub fn sealing(&self) {
        self.bar.set_message("sealing");
    }

    /// A pass over so many bytes begins.
    pub fn begin(&mut self, bytes: u64) {
        self.counts = Counts::default();
        self.bar.set_length(bytes);
        self.bar.set_position(0);
    }

    /// A file is in its place.
    pub fn placed(&mut self, path: &str, placed: Placed, bytes: u64) {
        let Counts { linked, copied, kept, bytes: all, bytes_new } = &mut self.counts;
        let counter = match placed {
            Placed::Linked => linked,
            Placed::Copied => copied,
            Placed::Kept => kept,
        };
        *counter += 1;
        *all += bytes;
        *bytes_new += if placed == Placed::Kept { 0 } else { bytes };
        self.bar.set_message(path.to_string());
        self.bar.inc(bytes);
    }

    /// Octets are copied, though nobody asked for it; said once.
    pub fn copying(&mut self, folder: &Path, why: &str) {
        if !std::mem::replace(&mut self.told_copying, true) {
            let say =
                || eprintln!("{}: files are copied, for they cannot be linked: {why}", folder.display());
            self.bar.suspend(say);
        }
    }

    /// It is complete.
    pub fn end(
        &self,
        folder: &Path,
        manifest: &Manifest,
        removed: u64,
        copying: Option<&str>,
    ) -> Result<(), String> {
        self.bar.finish_and_clear();
        let Counts { linked, copied, kept, bytes, bytes_new } = self.counts;
        let ms = self.began.elapsed().as_millis() as u64;
        if self.json {
            return say(&json!({ "backup": {
                "folder": folder.display().to_string(), "made": manifest.made, "made_ms": manifest.made_ms,
                "shards": manifest.shards, "linked": linked, "copied": copied, "kept": kept, "removed": removed,
                "bytes": bytes, "bytes_new": bytes_new, "copied_because": copying, "ms": ms,
            }})
            .to_string());
        }
        say(&format!(
            "{}: {linked} files linked, {copied} copied, {kept} kept, {removed} removed; \
             {bytes} bytes, {bytes_new} of them new, in {:.1} s",
            folder.display(),
            ms as f64 / 1000.0
        ))
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
