//! Events: from the outbox to the stream (`relay`), from the stream to subscriptions (`consumer`), and what happens to
//! those that nobody could handle (`dead`). `wakes` carries the news of a commit to whoever waits for one.
//!
//! ```text
//! call commits -> ward.outbox -> relay -> WARD_EVENTS -> subscription -> fresh instance + inbox -> ack
//!                                                                     \-> WARD_DEAD (reason, attempts) -> replay
//! ```

mod consumer;
pub mod dead;
mod message;
mod relay;
mod remembered;
mod wakes;

pub use consumer::Consumers;
pub use relay::Relay;
pub use wakes::Wakes;
