//! What a request on `ward.call.<service>.…` asks for, on the generation that will answer it.

use std::sync::Arc;

use bytes::Bytes;
use ward_proto::call::{FailureKind, header};

use super::execute::Operation;
use super::typed::Contract;
use super::{Call, Failure};
use crate::bindings::exports::ward::http::handler::Request;
use crate::bus::Headers;
use crate::engine::Effect;
use crate::services::Generation;
use crate::values::{self, Encoding};

/// The message when a gateway let a request in by another version's route, which asks for less; it has a status of its own there.
pub const NOT_ADMITTED: &str = "the version that answers does not let this caller in";
/// The messages of the two refusals that are about a key; the gateway gives them a status of their own.
pub const KEY_IN_USE: &str = "a call with this idempotency key is under way";
/// How the message begins of a call whose payload is over the service's limit.
pub const TOO_LARGE: &str = "the request is too large for the service";
pub const KEY_REUSED: &str = "this idempotency key was used for another request";

pub fn is_key_in_use(failure: &Failure) -> bool {
    failure.kind == FailureKind::Refused && failure.message == KEY_IN_USE
}

#[derive(Debug, PartialEq)]
pub enum Target {
    Http { method: String, path: String, query: String },
    Function { interface: String, function: String, contract: Option<Contract> },
}

impl Target {
    pub fn of(subject: &str, headers: Option<&Headers>) -> Result<Self, Failure> {
        let get = |name: &'static str| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str());
        let mut tokens = subject.split('.').skip(3);
        let (Some(interface), Some(function), None) = (tokens.next(), tokens.next(), tokens.next()) else {
            return Err(refuse(format!("{subject} is not ward.call.<service>.<interface>.<function>")));
        };
        if (interface, function) == ("http", "handle") {
            let (Some(method), Some(path)) = (get(header::METHOD), get(header::PATH)) else {
                return Err(refuse("a REST request needs Ward-Method and Ward-Path"));
            };
            let query = get(header::QUERY).unwrap_or_default().to_owned();
            return Ok(Self::Http { method: method.to_owned(), path: path.to_owned(), query });
        }
        let contract = get(header::CONTRACT)
            .map(|text| Contract::parse(text).ok_or_else(|| refuse("the header Ward-Contract is malformed")))
            .transpose()?;
        Ok(Self::Function { interface: interface.to_owned(), function: function.to_owned(), contract })
    }

    /// For idempotency keys, which are scoped to it.
    pub fn name(&self) -> String {
        match self {
            Self::Http { method, path, .. } => format!("{method} {path}"),
            Self::Function { interface, function, .. } => format!("{interface}/{function}"),
        }
    }

    pub fn query(&self) -> &str {
        match self {
            Self::Http { query, .. } => query,
            Self::Function { .. } => "",
        }
    }

    /// Would this generation write? False when it does not know the target.
    pub fn writes(&self, generation: &Generation) -> bool {
        let effect = match self {
            Self::Http { method, path, .. } => generation.route(method, path).map(|matched| matched.route.effect),
            Self::Function { interface, function, contract } => {
                generation.plugin.function(interface, function, contract.as_ref()).map(|function| function.effect)
            }
        };
        effect.is_some_and(|effect| effect != Effect::Read)
    }

    pub fn operation(
        &self,
        generation: &Generation,
        call: &Call,
        headers: Option<&Headers>,
        payload: &Bytes,
    ) -> Result<Operation, Failure> {
        match self {
            Self::Http { method, path, query } => {
                http_operation(generation, call, headers, payload, (method, path, query))
            }
            Self::Function { interface, function, contract } => {
                function_operation(generation, headers, payload, interface, function, contract.as_ref())
            }
        }
    }
}

fn http_operation(
    generation: &Generation,
    call: &Call,
    headers: Option<&Headers>,
    payload: &Bytes,
    (method, path, query): (&str, &str, &str),
) -> Result<Operation, Failure> {
    let matched = generation
        .route(method, path)
        .ok_or_else(|| refuse(format!("{} has no route {method} for this path", generation.context.name)))?;
    let is_admitted = headers.is_some_and(|headers| headers.get(header::ADMITTED).is_some());
    if is_admitted && !matched.route.access.lets_in(call.principal.as_deref()) {
        return Err(refuse(NOT_ADMITTED));
    }
    let request = Request {
        operation: matched.route.operation.clone(),
        method: method.to_owned(),
        path: path.to_owned(),
        path_parameters: matched.parameters,
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: headers.map(http_headers).unwrap_or_default(),
        body: payload.to_vec(),
        principal: call.principal.as_deref().map(Into::into),
    };
    Ok(Operation::Http { request: Arc::new(request), effect: matched.route.effect })
}

/// The request's own headers, in lower case.
fn http_headers(headers: &Headers) -> Vec<(String, String)> {
    let prefixed = headers.iter().filter_map(|(name, values)| {
        let name: &str = name.as_ref();
        Some((name.strip_prefix(header::HTTP_PREFIX)?.to_ascii_lowercase(), values))
    });
    let flat =
        prefixed.flat_map(|(name, values)| values.iter().map(move |value| (name.clone(), value.as_str().to_owned())));
    flat.collect()
}

fn function_operation(
    generation: &Generation,
    headers: Option<&Headers>,
    payload: &Bytes,
    interface: &str,
    function: &str,
    contract: Option<&Contract>,
) -> Result<Operation, Failure> {
    let service = &generation.context.name;
    let found = generation.plugin.function(interface, function, contract);
    let found = found.ok_or_else(|| refuse(format!("{service} has no function {interface}.{function}")))?;
    if let Some(contract) = contract
        && !contract.agrees_with(&found.contract)
    {
        return Err(refuse(format!("{service} offers {}, the caller knows {}", found.contract.text, contract.text)));
    }
    let content_type = headers.and_then(|headers| headers.get(header::CONTENT_TYPE)).map(|value| value.as_str());
    let encoding = Encoding::detect(content_type, payload);
    let parameters =
        values::decode_parameters(&found.plan, encoding, payload, generation.context.limits.transfer_bytes)
            .map_err(|mismatch| refuse(format!("{service} {interface}.{function}: {mismatch}")))?;
    Ok(Operation::Function { function: found.clone(), parameters: parameters.into(), encoding })
}

fn refuse(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Refused, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_subjects() {
        let target = Target::of("ward.call.stock.items.open", None).unwrap();
        assert_eq!(target.name(), "items/open");
        for subject in ["ward.call.stock", "ward.call.stock.a.b.c", "ward.call.stock.http.handle"] {
            assert_eq!(Target::of(subject, None).unwrap_err().kind, FailureKind::Refused, "{subject}");
        }
    }

    #[test]
    fn reads_rest_requests() {
        let mut headers = Headers::new();
        headers.insert(header::METHOD, "GET");
        headers.insert(header::PATH, "/api/x");
        let target = Target::of("ward.call.x.http.handle", Some(&headers)).unwrap();
        assert_eq!((target.name().as_str(), target.query()), ("GET /api/x", ""));
    }
}
