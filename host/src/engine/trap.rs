//! A trap, told to an operator: what happened and where, and nothing of the payload.

use wasmtime::{FrameInfo, Trap, WasmBacktrace};

use crate::artifacts::Lines;

/// Bytes of a frame that are told.
const LONGEST_FRAME: usize = 300;

/// The cause in one line, and the functions from the innermost outwards, demangled, each with its place in the source if
/// the component says so.
pub fn explain(error: &wasmtime::Error, lines: &Lines) -> (String, Vec<String>) {
    let cause = match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => "the component panicked or reached unreachable code".to_owned(),
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
    (brief(cause), frames.iter().map(|frame| brief(told(frame, lines))).collect())
}

/// Did the guest hand over more than `limits.transfer_bytes`? The engine's error for it has no public type.
pub fn is_transfer(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}

/// Names are the component's, of any length.
fn brief(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST_FRAME));
    text
}

fn told(frame: &FrameInfo, lines: &Lines) -> String {
    let function = match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    };
    match frame.module_offset().and_then(|offset| lines.at(offset as u64)) {
        Some(place) => format!("{function} ({}:{})", place.file, place.line),
        None => function,
    }
}
