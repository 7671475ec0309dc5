//! The tool on real folders.

mod backup;
mod carried;
mod compat;
mod figures;
mod inspect;
mod live;
mod made;
mod packs;
mod resharded;
mod restored;
mod story;
mod support;
mod who;
