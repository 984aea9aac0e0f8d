//! One request and its one answer.

use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use ward_proto::call::{FailureKind, header, subject};

use super::Bus;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nothing was sent.
    #[error("there is no connection to NATS")]
    Disconnected,
    /// Nobody listens on the subject; nothing was done.
    #[error("nobody answers there")]
    NoResponders,
    /// It may have been done.
    #[error("no answer in time")]
    TimedOut,
    /// The request does not fit into a message of the server; nothing was done.
    #[error("the request is too large")]
    TooLarge,
    #[error("the request could not be sent")]
    Unsendable,
}

/// An answer: a service's own, or the reason why it gave none.
#[derive(Debug)]
pub struct Reply {
    /// `Ward-Failure`.
    pub failure: Option<FailureKind>,
    pub payload: Bytes,
}

impl Bus {
    /// Asks, and waits up to `timeout`. Fails at once when it cannot be answered.
    pub async fn request(
        &self,
        subject: String,
        headers: &[(&str, String)],
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Reply, RequestError> {
        if !self.is_connected() {
            return Err(RequestError::Disconnected);
        }
        let request = Request::new().headers(header_map(headers)).payload(payload.into()).timeout(Some(timeout));
        let sent = self.client.send_request(subject, request).await;
        sent.map(reply).map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => RequestError::NoResponders,
            RequestErrorKind::TimedOut => RequestError::TimedOut,
            RequestErrorKind::MaxPayloadExceeded => RequestError::TooLarge,
            RequestErrorKind::InvalidSubject | RequestErrorKind::Other => RequestError::Unsendable,
        })
    }

    /// The public keys that tokens are signed with, as a JWKS document.
    pub async fn keys(&self, timeout: Duration) -> Result<Bytes, RequestError> {
        let reply = self.request(subject::KEYS.to_owned(), &[], Vec::new(), timeout).await?;
        Ok(reply.payload)
    }
}

pub(super) fn header_map(headers: &[(&str, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.as_str());
    }
    map
}

fn reply(message: Message) -> Reply {
    let failure = message.headers.as_ref().and_then(|headers| headers.get(header::FAILURE));
    Reply {
        // A kind that this bridge does not know is a failure all the same.
        failure: failure.map(|kind| FailureKind::parse(kind.as_str()).unwrap_or(FailureKind::Failed)),
        payload: message.payload,
    }
}
