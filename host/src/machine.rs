//! The machine that this process runs on.

/// Its own name, which nobody else vouches for; empty when it has none.
pub fn name() -> String {
    std::fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned()
}
