//! A patient's billing account, as far as a reader of the patient is concerned.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Account {
    Open {
        id: String,
    },
    Closed {
        id: String,
    },
    /// None was opened, or not yet: it follows the registration by a moment.
    None,
    /// Billing did not say. The patient is no less readable for that.
    Unavailable {
        /// `unavailable`, `deadline-exceeded`, `overloaded`, `trapped`, `refused` or `failed`.
        reason: &'static str,
    },
}
