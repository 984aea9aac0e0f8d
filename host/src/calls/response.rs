//! What a component returned for a REST request, as a reply.

use bytes::Bytes;
use ward_proto::call::header;

use crate::bindings::exports::ward::http::handler::Response;
use crate::store::Answer;

const MOST_HEADERS: usize = 100;
/// Bytes of a malformed name that are told.
const LONGEST_NAME: usize = 100;

/// The reply, and whether the call is to be committed: a status below 400 is. An error says what is wrong with the response.
pub fn reply(response: Response) -> Result<(bool, Answer), String> {
    if !(200..600).contains(&response.status) {
        return Err(format!("the component answered the status {}", response.status));
    }
    if response.headers.len() > MOST_HEADERS {
        return Err(format!(
            "the response has {} headers; at most {MOST_HEADERS} are possible",
            response.headers.len()
        ));
    }
    if let Some((name, _)) = response.headers.iter().find(|(name, value)| !is_header(name, value)) {
        let name = name.get(..name.floor_char_boundary(LONGEST_NAME)).unwrap_or_default();
        return Err(format!("the response has a malformed header ({name:?})"));
    }
    let mut head = Vec::with_capacity(response.headers.len() + 1);
    head.push((header::STATUS.to_owned(), response.status.to_string()));
    head.extend(response.headers.into_iter().map(|(name, value)| (format!("{}{name}", header::HTTP_PREFIX), value)));
    Ok((response.status < 400, Answer { head, body: Bytes::from(response.body) }))
}

/// A line break in a header would let a component write the rest of the reply.
fn is_header(name: &str, value: &str) -> bool {
    let clean_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    clean_name && value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, name: &str, value: &str) -> Response {
        Response { status, headers: vec![(name.into(), value.into())], body: b"b".to_vec() }
    }

    #[test]
    fn below_400_commits() {
        for (status, commits) in [(200, true), (399, true), (400, false), (599, false)] {
            assert_eq!(reply(response(status, "etag", "\"1\"")).unwrap().0, commits);
        }
        assert!(reply(response(199, "a", "b")).is_err() && reply(response(600, "a", "b")).is_err());
    }

    #[test]
    fn headers_cannot_end_themselves() {
        for (name, value) in [("a", "b\r\nc: d"), ("a\n", "b"), ("", "b"), ("a b", "c"), ("a", "\u{7f}")] {
            assert!(reply(response(200, name, value)).is_err(), "{name:?} {value:?}");
        }
        let headers = vec![("a".to_owned(), "b".to_owned()); 101];
        assert!(reply(Response { headers, ..response(200, "a", "b") }).is_err());
    }
}
