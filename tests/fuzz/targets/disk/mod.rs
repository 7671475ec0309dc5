//! What a disk gives.

pub mod checkpoint_file;
pub mod images;
pub mod log_change;
pub mod pack_file;
pub mod summary_view;
