//! What one call leaves in its memory, and another one looks for in all of its own.
#![cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "lives in a component only"))]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// Turned around, so that it stands nowhere in the component's own data.
const CANARY: u64 = !0x5743_616e_6172_7921;

/// In the module's data.
static KEPT: AtomicU64 = AtomicU64::new(0);

/// Leaves it in the data, on the heap, and on pages that the instance began without. Returns how often it is to be seen.
pub fn write() -> i64 {
    black_box(&KEPT).store(!black_box(CANARY), Ordering::Relaxed);
    std::mem::forget(black_box(vec![!black_box(CANARY); (4 << 20) / size_of::<u64>()]));
    seen()
}

/// How often it is to be seen that another call has left it: never.
pub fn read() -> i64 {
    // As much as that call had. No allocator clears it.
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::memory_grow::<0>((5 << 20) / PAGE);
    seen()
}

const PAGE: usize = 64 << 10;

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "looks where nothing of this call lies")]
fn seen() -> i64 {
    let end = core::arch::wasm32::memory_size::<0>() * PAGE;
    let turned = black_box(CANARY);
    let places = (size_of::<u64>()..end).step_by(size_of::<u64>());
    // Safety: all of it is memory of this instance, which has one thread.
    let hits = places.filter(|place| unsafe { std::ptr::read_volatile(*place as *const u64) } == !turned);
    hits.count() as i64
}

#[cfg(not(target_family = "wasm"))]
fn seen() -> i64 {
    0
}
