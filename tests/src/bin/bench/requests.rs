//! What the clients ask for, as bytes.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes the next request into an empty buffer.
pub type Requests = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;

pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: ward\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}

pub fn plain(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: ward\r\n\r\n").into_bytes()
}

/// The same request, over and over.
pub fn same(request: Vec<u8>) -> Requests {
    Arc::new(move |buffer| buffer.extend_from_slice(&request))
}

pub fn login() -> Requests {
    let body = r#"{"email":"testuser@test.com","password":"password123"}"#;
    let length = body.len();
    let head = "POST /auth/login HTTP/1.1\r\nhost: ward\r\ncontent-type: application/json";
    same(format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes())
}

/// A new person with a key of its own each time: two words of letters, born somewhere in sixty years.
pub fn registrations(token: &str) -> Requests {
    let (token, next) = (token.to_owned(), AtomicU64::new(0));
    // Runs against one database must not meet.
    let run = u64::from(uuid::Uuid::new_v4().as_u64_pair().0 as u32);
    Arc::new(move |buffer| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (given, family) = (letters(number % 5000), letters((run << 24) + number));
        let (year, month, day) = (1940 + number % 60, 1 + number / 60 % 12, 1 + number / 720 % 28);
        let body = format!(
            "{{\"name\":\"{given} {family}\",\"email\":\"{family}@{given}.example.com\",\
             \"address\":\"12 Square, Springfield\",\"dateOfBirth\":\"{year}-{month:02}-{day:02}\"}}"
        );
        let length = body.len();
        write!(
            buffer,
            "POST /api/patients HTTP/1.1\r\nhost: ward\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\nidempotency-key: {run}-{number}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
    })
}

/// A number as a word: different numbers, different words.
fn letters(mut number: u64) -> String {
    let mut word = String::from("K");
    loop {
        word.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
        if number == 0 {
            return word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_registrations_are_alike() {
        let next = registrations("t");
        let bodies: std::collections::BTreeSet<Vec<u8>> = (0..10_000)
            .map(|_| {
                let mut buffer = Vec::new();
                next(&mut buffer);
                buffer
            })
            .collect();
        assert_eq!(bodies.len(), 10_000);
    }
}
