//! Calls to other services: functions of imported service interfaces, linked by reflection.
//!
//! A function that fails in the way of WebAssembly would end the caller, so whatever goes wrong becomes the case
//! `call(failure)` of the function's own error type. Only a broken contract between host and component is a trap.

use std::sync::Arc;

use bytes::Bytes;
use ward_proto::call::{FailureKind, header};
use wasmtime::component::{Linker, Val};
use wasmtime::{Error, StoreContextMut};

use super::{CallState, ServiceContext};
use crate::bus::Headers;
use crate::calls::client::{Client, Reply};
use crate::calls::release::until_released;
use crate::calls::typed::Contract;
use crate::calls::{Failure, request};
use crate::limits::Limit;
use crate::values::{self, Encoding, FunctionPlan};

/// A function that a component imports from another service.
pub struct ImportedFunction {
    pub contract: Arc<Contract>,
    pub name: String,
    pub plan: FunctionPlan,
}

/// Links all functions of one imported service interface.
pub fn link_service(
    linker: &mut Linker<CallState>,
    import: &str,
    functions: Vec<ImportedFunction>,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(import)?;
    for function in functions {
        let name = function.name.clone();
        let function = Arc::new(function);
        instance.func_new_async(&name, move |store, _, parameters, results| {
            let function = function.clone();
            Box::new(async move {
                let result = call(store, &function, parameters).await?;
                let place = results.first_mut().ok_or_else(|| Error::msg("a function without a result"))?;
                *place = result;
                Ok(())
            })
        })?;
    }
    Ok(())
}

async fn call(
    mut store: StoreContextMut<'_, CallState>,
    function: &ImportedFunction,
    parameters: &[Val],
) -> wasmtime::Result<Val> {
    let payload = values::encode_parameters(&function.plan, Encoding::Cbor, parameters.to_vec())?;
    if let Err(failure) = store.data_mut().admit_call(payload.len()) {
        return Ok(as_value(&failure));
    }
    let outgoing = Outgoing::of(store.data_mut(), function);
    match outgoing.send(function, payload.into()).await {
        Ok(result) => Ok(result),
        Err(failure) => {
            store.data_mut().is_let_down = true;
            Ok(as_value(&failure))
        }
    }
}

impl CallState {
    /// Counts a call that is to be made.
    fn admit_call(&mut self, payload_bytes: usize) -> Result<(), Failure> {
        let limits = &self.service.limits;
        self.calls_made = self.calls_made.saturating_add(1);
        let over = match () {
            () if self.calls_made > limits.calls => Limit::Calls,
            () if payload_bytes > limits.call_bytes => Limit::CallBytes,
            () => return Ok(()),
        };
        let told = self.service.refuse(over);
        Err(Failure::new(FailureKind::Refused, format!("the call is over a limit of its caller: {told}")))
    }
}

/// What a call needs of its caller's state.
struct Outgoing {
    call: crate::calls::Call,
    client: Client,
    service: Arc<ServiceContext>,
}

impl Outgoing {
    fn of(state: &mut CallState, function: &ImportedFunction) -> Self {
        let mut call = state.call.clone();
        let count = state.calls_of.entry(format!("{}.{}", function.contract.name, function.name)).or_default();
        *count += 1;
        // The same whenever the caller is run again, so that the callee does it once; also by another version, which may make other calls
        // beside it.
        let seed = state.seed.as_ref().unwrap_or(&call.id);
        call.idempotency_key = Some(format!("{seed}/{count}"));
        call.id = crate::calls::envelope::new_id();
        // A tenth of the time is left to the caller, to answer something when the callee is too slow.
        call.deadline -= call.remaining() / 10;
        Self { call, client: state.host.client.clone(), service: state.service.clone() }
    }

    async fn send(self, function: &ImportedFunction, payload: Bytes) -> Result<Val, Failure> {
        let _slot = self.service.outgoing.try_acquire().map_err(|_| {
            let told = self.service.refuse(Limit::Outgoing);
            Failure::new(FailureKind::Overloaded, format!("too many calls of this service are out: {told}"))
        })?;
        let mut headers = Headers::new();
        headers.insert(header::CONTENT_TYPE, Encoding::Cbor.content_type());
        headers.insert(header::CONTRACT, function.contract.text.as_str());
        let Contract { service, interface, .. } = &*function.contract;
        // An earlier try of the caller may have been stopped a moment ago, and this one with it.
        let is_held = |outcome: &Result<Reply, Failure>| outcome.as_ref().is_err_and(request::is_key_in_use);
        let send =
            || self.client.call(&self.call, service, interface, &function.name, headers.clone(), payload.clone());
        let reply = until_released(is_held, send).await?;
        let room = self.service.limits.transfer_bytes;
        values::decode_result(&function.plan, Encoding::Cbor, &reply.payload, room).map_err(|mismatch| {
            Failure::new(
                FailureKind::DeadlineExceeded,
                format!("it was done, and the answer of {service} is not what {interface} says: {mismatch}"),
            )
        })
    }
}

/// `err(call(failure))`.
fn as_value(failure: &Failure) -> Val {
    tracing::debug!(%failure, "a call to another service failed");
    let kind = Val::Enum(failure.kind.name().to_owned());
    let error = Val::Variant("call".to_owned(), Some(Box::new(kind)));
    Val::Result(Err(Some(Box::new(error))))
}
