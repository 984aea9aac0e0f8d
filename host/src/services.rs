//! The services of this host, and how a running one is replaced.
//!
//! The desired state lies in the KV bucket `ward-services` (service -> digest), the artifacts in the object store
//! `ward-artifacts` (digest -> bytes); every host watches the one and fetches from the other. For each change a host
//! does this, and nothing of it touches the generation that serves:
//!
//! ```text
//! fetch and verify -> compile -> inspect against grants -> contract against live services -> migrate -> probe -> seed
//!       -> swap one pointer -> watch the first calls -> drain the old generation
//! ```
//!
//! Routes and contracts are held against the services of this host, once more as the pointer is swapped, one generation at a time; hosts that run
//! different services are not compared. When a host begins, what has served before takes its place before newcomers (`turns`).
//!
//! A generation is immutable, and a call keeps the one that it began with. A canary is a second generation that gets a share of
//! the calls (`lineup`). While a generation is new, or a canary, it is under `watch`, and a call that it fails is run on the
//! one before, which is possible because a failed call has left nothing behind. Start reading at `desired`, then `supervisor`
//! and `swap`.

mod agreement;
mod attendance;
pub mod desired;
mod durations;
mod functions;
mod generation;
mod holders;
mod lineup;
mod notice;
mod paths;
mod placement;
mod quarantine;
mod rates;
mod registry;
mod service;
mod status;
mod supervisor;
mod swap;
mod turns;
mod watch;

pub use attendance::{Attendance, Away};
pub use functions::FunctionStatus;
pub use generation::{Generation, Matched};
pub use lineup::Lineup;
pub use notice::Notices;
pub use quarantine::{Change, Quarantine, Resting};
pub use rates::Recent;
pub use registry::Services;
pub use service::{Finding, Place, Service, Standing};
pub use status::{HostStatus, ServiceStatus, Serving, State};
pub use supervisor::{Openings, Supervisor};
pub use swap::{NotTaken, Swapper};
pub use turns::Turns;
pub use watch::{Trial, Verdict, Watch};
