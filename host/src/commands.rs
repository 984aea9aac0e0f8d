//! What `ward` can be told, one command a file.

mod ask;
pub mod build;
pub mod call;
pub mod completion;
pub mod deploy;
pub mod dev;
pub mod diff;
pub mod events;
pub mod examples;
pub mod history;
pub mod host;
pub mod hosts;
pub mod inspect;
pub mod keys;
pub mod logs;
pub mod new;
pub mod output;
pub mod provision;
pub mod prune;
pub mod ps;
pub mod push;
pub mod trace;
pub mod user;
