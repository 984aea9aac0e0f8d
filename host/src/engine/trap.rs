//! A trap, told to an operator: what happened and where, and nothing of the payload.

use wasmtime::{Trap, WasmBacktrace};

/// The cause in one line, and the functions from the innermost outwards, demangled.
pub fn explain(error: &wasmtime::Error) -> (String, Vec<String>) {
    let cause = match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => "the component panicked or reached unreachable code".to_owned(),
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let frames = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    (cause, frames)
}

/// Did the guest hand over more than `limits.transfer_bytes`? The engine's error for it has no public type.
pub fn is_transfer(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}

fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    };
    backtrace.frames().iter().map(name).collect()
}
