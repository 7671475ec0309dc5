//! Commands about mailboxes: selecting, listing, changing their names, asking their figures.

pub mod edit;
pub mod list;
mod others;
mod pattern;
pub mod select;
pub mod show;
pub mod status;
