//! What the outcome of a call becomes on the gRPC side. The codes are part of the contract (`billing.proto`).

use serde::Deserialize;
use tonic::Status;
use ward_proto::billing::BillingResponse;
use ward_proto::call::FailureKind;

use crate::bus::call::{Reply, RequestError};

/// The `result` of `clinic:billing/accounts.open`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Account),
    Err(Fault),
}

#[derive(Debug, Deserialize)]
struct Account {
    id: String,
    status: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    Invalid(Vec<String>),
    NotFound,
    Call(String),
}

/// The answer of billing as the response of the RPC.
pub fn response(asked: Result<Reply, RequestError>) -> Result<BillingResponse, Status> {
    let reply = asked.map_err(unanswered)?;
    if let Some(kind) = reply.failure {
        return Err(failure(kind));
    }
    match serde_json::from_slice(&reply.payload) {
        Ok(Answer::Ok(account)) => {
            Ok(BillingResponse { account_id: account.id, status: account.status.to_uppercase() })
        }
        Ok(Answer::Err(fault)) => Err(refusal(fault)),
        Err(error) => {
            tracing::error!(%error, "billing's answer cannot be read");
            Err(Status::internal("billing's answer cannot be read"))
        }
    }
}

fn refusal(fault: Fault) -> Status {
    match fault {
        Fault::Invalid(faults) => Status::invalid_argument(faults.join("; ")),
        Fault::NotFound => Status::not_found("there is no such account"),
        Fault::Call(kind) => failure(FailureKind::parse(&kind).unwrap_or(FailureKind::Failed)),
    }
}

/// No answer of billing.
fn failure(kind: FailureKind) -> Status {
    match kind {
        FailureKind::Unavailable => Status::unavailable("billing is not running; nothing was done"),
        FailureKind::DeadlineExceeded => Status::deadline_exceeded("the deadline passed; repeating is safe"),
        FailureKind::Overloaded => Status::resource_exhausted("billing has too much to do; nothing was done"),
        FailureKind::Trapped => Status::internal("billing crashed; nothing was done"),
        // The bridge and billing disagree about the contract: nothing that the caller could mend.
        FailureKind::Refused => Status::internal("billing refused the call; nothing was done"),
        FailureKind::Failed => Status::internal("billing failed; nothing was done"),
    }
}

/// No answer at all.
fn unanswered(error: RequestError) -> Status {
    match error {
        RequestError::NoResponders => failure(FailureKind::Unavailable),
        RequestError::Disconnected => Status::unavailable("the connection to Ward is lost; nothing was done"),
        RequestError::TimedOut => failure(FailureKind::DeadlineExceeded),
        RequestError::TooLarge => Status::invalid_argument("the request is too large"),
        RequestError::Unsendable => Status::unavailable("the call could not be sent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn answered(payload: &str) -> Result<BillingResponse, Status> {
        response(Ok(Reply { failure: None, payload: payload.to_owned().into() }))
    }

    #[test]
    fn an_account_is_answered_with_its_status_in_capitals() {
        let account = r#"{"ok":{"id":"a","patient-id":"p","status":"active","opened-at":"2026-01-10T09:30:00Z"}}"#;
        let response = answered(account).unwrap();
        assert_eq!((response.account_id.as_str(), response.status.as_str()), ("a", "ACTIVE"));
    }

    #[test]
    fn invalid_input_names_every_fault() {
        let status = answered(r#"{"err":{"invalid":["Name is required","Email should be valid"]}}"#).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "Name is required; Email should be valid");
    }

    #[test]
    fn every_failure_has_its_code_however_it_arrives() {
        let expected = [
            (FailureKind::Unavailable, Code::Unavailable),
            (FailureKind::DeadlineExceeded, Code::DeadlineExceeded),
            (FailureKind::Overloaded, Code::ResourceExhausted),
            (FailureKind::Trapped, Code::Internal),
            (FailureKind::Refused, Code::Internal),
            (FailureKind::Failed, Code::Internal),
        ];
        for (kind, code) in expected {
            let reply = Reply { failure: Some(kind), payload: "{}".into() };
            assert_eq!(response(Ok(reply)).unwrap_err().code(), code);
            let inner = answered(&format!(r#"{{"err":{{"call":"{}"}}}}"#, kind.name())).unwrap_err();
            assert_eq!(inner.code(), code);
        }
        assert_eq!(answered(r#"{"err":"not-found"}"#).unwrap_err().code(), Code::NotFound);
        assert_eq!(answered("?").unwrap_err().code(), Code::Internal);
    }

    #[test]
    fn silence_is_told_apart() {
        let code = |error| response(Err(error)).unwrap_err().code();
        assert_eq!(code(RequestError::NoResponders), Code::Unavailable);
        assert_eq!(code(RequestError::Disconnected), Code::Unavailable);
        assert_eq!(code(RequestError::TimedOut), Code::DeadlineExceeded);
    }
}
