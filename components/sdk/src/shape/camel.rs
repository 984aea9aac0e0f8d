//! Names in JSON, made of the names in Rust while the component is compiled.

/// `book_id` as `bookId`, made when the component is compiled. `LENGTH` is [`camel_length`].
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
pub const fn camel<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
    let (from, mut camel, mut read, mut written) = (name.as_bytes(), [0; LENGTH], 0, 0);
    while read < from.len() {
        if from[read] == b'_' && read + 1 < from.len() {
            read += 1;
            camel[written] = from[read].to_ascii_uppercase();
        } else {
            camel[written] = from[read];
        }
        read += 1;
        written += 1;
    }
    camel
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
pub const fn camel_length(name: &str) -> usize {
    let (from, mut read, mut length) = (name.as_bytes(), 0, 0);
    while read < from.len() {
        if !(from[read] == b'_' && read + 1 < from.len()) {
            length += 1;
        }
        read += 1;
    }
    length
}
