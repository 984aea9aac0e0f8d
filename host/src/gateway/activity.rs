//! What is going on on one connection, so that one on which nothing does gives up its place.
//!
//! Something is under way while a request is read and answered, while an answer waits for us, as a live stream does, and whenever bytes
//! of an answer leave. An answer that waits for its reader is not: who does not read keeps a place like somebody who does not ask.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Whoever rested for longer makes room when others wait for a place.
const LEAST_REST: Duration = Duration::from_secs(1);

/// Bytes of a ping in HTTP/2, and of its answer: a sign of life, and no use of the connection.
const PING: usize = 17;

pub struct Activity {
    began: Instant,
    under_way: AtomicUsize,
    /// When something was under way for the last time, in milliseconds since it began.
    last_ms: AtomicU64,
}

impl Activity {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), under_way: AtomicUsize::new(0), last_ms: AtomicU64::new(0) })
    }

    /// Something is under way until what this returns is dropped.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    /// Returns when nothing was under way for `idle`; when `crowded` is rung, for much less.
    pub async fn rested(&self, idle: Duration, crowded: &Notify) {
        loop {
            let left = idle.saturating_sub(self.resting());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = crowded.notified() => if self.resting() >= LEAST_REST {
                    return;
                },
            }
        }
    }

    fn resting(&self) -> Duration {
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

pub struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.touch();
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection of which each write counts.
pub struct Touching {
    pub stream: TcpStream,
    pub activity: Arc<Activity>,
}

impl Touching {
    fn touched(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(bytes)) if bytes > PING) {
            self.activity.touch();
        }
        written
    }
}

impl AsyncRead for Touching {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Touching {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.touched(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.touched(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A body that is under way while it has nothing to hand over.
pub fn watched(body: Body, activity: &Arc<Activity>) -> Body {
    // What is there as a whole never waits for us.
    if body.size_hint().exact().is_some() {
        return body;
    }
    Body::new(Watched { body, activity: activity.clone(), waits: None })
}

struct Watched {
    body: Body,
    activity: Arc<Activity>,
    waits: Option<UnderWay>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.waits = match polled.is_pending() {
            true => self.waits.take().or_else(|| Some(self.activity.begin())),
            false => None,
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
