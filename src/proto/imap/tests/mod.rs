//! Whole sessions over a store: what one client does and what the others are told.

mod condstore;
mod contexts;
mod fetch;
mod huge;
mod lab;
mod mailboxes;
mod many;
mod model;
mod notify;
mod octets;
mod search;
mod session;
mod sync;
mod urlauth;
mod views;
