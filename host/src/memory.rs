//! The host's allocator, and a bound for what a library reads into memory on behalf of a component.
//!
//! sqlx reads each message of PostgreSQL whole, and shows nothing of it before. A row may be a gigabyte. But sqlx makes room for a
//! message as soon as it knows its length, and room that nobody has written to costs nothing: whoever looks at what was asked
//! for can stop in time. So the allocator, mimalloc, takes note of large requests, and [`bounded`] looks after each poll.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::pin::pin;
use std::task::Poll;

use mimalloc::MiMalloc;

/// Requests of up to this many bytes are not noted, so no smaller bound can be held.
pub const NOTED: usize = 1 << 20;

thread_local! {
    /// The largest request of this thread that was noted since it was set to zero.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Work that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more memory was asked for at once than there may be")]
pub struct TooLarge;

/// Does `work`, and gives it up once it has asked for more than `most` bytes at once. It holds in programs whose allocator is
/// [`Allocator`]; `most` counts as [`NOTED`] at least.
pub async fn bounded<T>(most: usize, work: impl Future<Output = T>) -> Result<T, TooLarge> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        LARGEST.set(0);
        let polled = work.as_mut().poll(context);
        if LARGEST.get() > most { Poll::Ready(Err(TooLarge)) } else { polled.map(Ok) }
    })
    .await
}

/// Values of many calls are made and dropped all the time; mimalloc takes a quarter off the time of a list of 50 records. Without
/// huge pages (its feature `no_thp`): they make an idle host twice as large, 77 MB instead of 39.
pub struct Allocator;

#[expect(unsafe_code, reason = "every request goes to mimalloc as it came")]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        unsafe { MiMalloc.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { MiMalloc.dealloc(place, layout) }
    }
}

#[inline]
fn note(size: usize) {
    if size > NOTED {
        LARGEST.set(LARGEST.get().max(size));
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    #[global_allocator]
    static ALLOCATOR: Allocator = Allocator;

    const MOST: usize = 4 << 20;

    async fn asks_for(bytes: usize) -> usize {
        let mut room: Vec<u8> = Vec::with_capacity(10);
        room.reserve_exact(bytes);
        yield_now().await;
        room.capacity()
    }

    #[tokio::test]
    async fn gives_up_what_asks_for_too_much_at_once() {
        assert_eq!(bounded(MOST, asks_for(MOST)).await, Ok(MOST));
        assert_eq!(bounded(MOST, asks_for(MOST + 1)).await, Err(TooLarge));
        assert_eq!(bounded(MOST, async { Vec::<u8>::with_capacity(1 << 30).capacity() }).await, Err(TooLarge));
    }

    #[tokio::test]
    async fn what_was_asked_for_before_is_not_held_against_it() {
        asks_for(MOST + 1).await;
        assert_eq!(bounded(MOST, asks_for(1)).await, Ok(10));
    }
}
