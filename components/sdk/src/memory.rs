//! The component's memory: dlmalloc, which begins in the memory that the instance is born with (`__heap_base` to
//! `__heap_end`, sized by `.cargo/config.toml`) and asks the engine for more only when that is used up.
//!
//! Rust's own allocator for this target asks on its first use. With an instance for each call that would be a system
//! call under a lock of the whole process each time, and calls would not scale past one core.

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
