//! Saying that something has happened, and hearing of it. Grant for [`publish`]: `events`, with the types named.

use prost::Message;

use crate::bindings::capabilities::ward::events::publisher;
use crate::bindings::subscribed::exports::ward::events::subscriber;
use crate::ports::StoreError;

pub use crate::bindings::subscribed::ward::events::types::Event;
pub use subscriber::Disposition;

/// Appends to the outbox; sent if and only if the call commits. `version` is the aggregate's after the change.
pub fn publish(kind: &str, subject: String, version: u64, message: &impl Message) -> Result<(), StoreError> {
    let event = publisher::NewEvent { type_: kind.to_owned(), subject, version, data: message.encode_to_vec() };
    publisher::publish(&event).map(drop).map_err(|error| StoreError::Failed(format!("publishing failed: {error:?}")))
}

/// The event's message. One that cannot be read can never be handled.
pub fn read<M: Message + Default>(event: &Event) -> Result<M, Disposition> {
    M::decode(event.data.as_slice()).map_err(|_| Disposition::Reject("the message cannot be decoded".to_owned()))
}

/// What the store did not do now it may do later; a fault of the component is given its tries, too, since the next
/// version may mend it before the dead letters.
impl From<StoreError> for Disposition {
    fn from(error: StoreError) -> Self {
        Self::Retry(error.to_string())
    }
}
