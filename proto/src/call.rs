//! The names of the call envelope, as `docs/calls.md` describes it, for every process that speaks it.

/// The reply to `ward.call.…` of a service that could not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No host runs the service, which is what NATS's "no responders" means; or the service has crashed too often and rests, which is
    /// sent with the time that is left.
    Unavailable,
    /// The time is over; the work was stopped and rolled back.
    DeadlineExceeded,
    /// The queue is full; nothing was done.
    Overloaded,
    /// The component crashed; everything was rolled back.
    Trapped,
    /// The two sides do not agree about the function; nothing was done.
    Refused,
    /// The store failed; rolled back.
    Failed,
}

impl FailureKind {
    pub const ALL: [Self; 6] =
        [Self::Unavailable, Self::DeadlineExceeded, Self::Overloaded, Self::Trapped, Self::Refused, Self::Failed];

    /// The value of the header [`header::FAILURE`], and the name of the case in `ward:call/errors`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::Overloaded => "overloaded",
            Self::Trapped => "trapped",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Header names.
pub mod header {
    pub const CONTENT_TYPE: &str = "Content-Type";
    pub const CONTRACT: &str = "Ward-Contract";
    pub const DEADLINE_MS: &str = "Ward-Deadline-Ms";
    pub const CALL_ID: &str = "Ward-Call-Id";
    pub const PRINCIPAL: &str = "Ward-Principal";
    pub const IDEMPOTENCY_KEY: &str = "Ward-Idempotency-Key";
    pub const TRACEPARENT: &str = "traceparent";
    /// In a request: the generation that shall answer. In a reply: the one that did.
    pub const GENERATION: &str = "Ward-Generation";
    pub const FAILURE: &str = "Ward-Failure";
    pub const METHOD: &str = "Ward-Method";
    pub const PATH: &str = "Ward-Path";
    pub const QUERY: &str = "Ward-Query";
    /// A gateway has let the request in, on behalf of its principal or of nobody. Whoever answers holds that against its own route.
    pub const ADMITTED: &str = "Ward-Admitted";
    pub const STATUS: &str = "Ward-Status";
    /// Before the name of each HTTP header.
    pub const HTTP_PREFIX: &str = "Http-";
    /// Recognizes an event that is published twice (JetStream).
    pub const MESSAGE_ID: &str = "Nats-Msg-Id";
}

/// CloudEvents attributes of an event on NATS, and of its Kafka record with [`ce::on_kafka`].
pub mod ce {
    pub const ID: &str = "ce-id";
    pub const TYPE: &str = "ce-type";
    pub const SOURCE: &str = "ce-source";
    pub const SUBJECT: &str = "ce-subject";
    pub const TIME: &str = "ce-time";
    pub const SPECVERSION: &str = "ce-specversion";
    /// Extension attribute: the version of the aggregate after the change.
    pub const VERSION: &str = "ce-aggregateversion";

    /// Kafka's binding of CloudEvents spells `ce_id` what NATS's spells `ce-id`.
    pub fn on_kafka(name: &str) -> String {
        name.replacen("ce-", "ce_", 1)
    }
}

/// Subjects and streams.
pub mod subject {
    pub const CALL: &str = "ward.call";
    pub const CANCEL: &str = "ward.cancel";
    pub const EVENT: &str = "ward.event";
    pub const REPLAY: &str = "ward.replay";
    pub const DEAD: &str = "ward.dead";
    pub const WAKE: &str = "ward.wake";
    pub const HOSTS: &str = "ward.hosts";
    pub const NOTICE: &str = "ward.notice";
    pub const KEYS: &str = "ward.keys";
    /// What every host serves, with its types.
    pub const FUNCTIONS: &str = "ward.functions";
    /// The spans of a call or a trace; bridges answer too.
    pub const SPANS: &str = "ward.spans";
    /// Lines of the hosts' logs.
    pub const LOGS: &str = "ward.logs";
    /// Where hosts publish lines while somebody follows.
    pub const LOG: &str = "ward.log";
    pub const PING: &str = "ward.ping";
    pub const PRESENCE: &str = "ward.presence";
    pub const EVENT_STREAM: &str = "WARD_EVENTS";
    pub const DEAD_STREAM: &str = "WARD_DEAD";
}

pub const JSON: &str = "application/json";
pub const CBOR: &str = "application/cbor";
