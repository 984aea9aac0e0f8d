//! A client of HTTP/1.1 that costs next to nothing, since it shares the processor with what it measures: one connection
//! that stays, one request at a time, answers with a `content-length`.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer, as it lies in the connection's buffer.
pub struct Answer<'a> {
    pub status: u16,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

impl Connection {
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(1 << 14) })
    }

    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let head = loop {
            self.receive().await?;
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let (status, length) = read_head(&self.received[..head]).ok_or(ErrorKind::InvalidData)?;
        while self.received.len() < head + length {
            self.receive().await?;
        }
        let (head, body) = self.received.split_at(head);
        Ok(Answer { status, head, body })
    }

    async fn receive(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(Error::from(ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        }
    }
}

impl Answer<'_> {
    /// The value of a header, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = std::str::from_utf8(self.head).ok()?.split("\r\n");
        lines.find_map(|line| {
            line.split_once(": ").filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        })
    }

    /// The first text value of a field in a JSON body.
    pub fn text_field(&self, name: &str) -> Option<&str> {
        let body = std::str::from_utf8(self.body).ok()?;
        let (_, rest) = body.split_once(&format!("\"{name}\":\""))?;
        rest.split_once('"').map(|(value, _)| value)
    }
}

/// Status and length of the body.
fn read_head(head: &[u8]) -> Option<(u16, usize)> {
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let status = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
    let Some(place) = find(head, LENGTH) else {
        return matches!(status, 204 | 304).then_some((status, 0));
    };
    let digits = head[place + LENGTH.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    Some((status, digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// One request on a connection of its own; its status and body.
pub async fn once(address: &str, request: &[u8]) -> Result<(u16, Vec<u8>)> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.exchange(request).await?;
    Ok((answer.status, answer.body.to_vec()))
}
