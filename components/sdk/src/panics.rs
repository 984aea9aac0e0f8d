//! What remains of a panic: a line in the log. The trap that follows it rolls the call back.

use std::panic::PanicHookInfo;

use crate::log;

/// Prepares a fresh instance. Called first by every door that [`crate::export!`] opens; a service interface's own
/// functions call it themselves.
pub fn start() {
    std::panic::set_hook(Box::new(report));
}

/// Says where. Says why only if the text was written in the source: one that was put together may have somebody's data
/// in it.
fn report(panic: &PanicHookInfo<'_>) {
    let reason = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("a message with values");
    let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
    log::error("panicked", &[("reason", reason), ("place", &place)]);
}
