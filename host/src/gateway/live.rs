//! Live routes: server-sent events, each with the body of a fresh call to the route.
//!
//! A component answers and is gone; it cannot stream. So the gateway asks again whenever the service has committed
//! something, at most once in `http.live_pause_ms`, and now and then without that, and sends what came if it is something new. The component needs to know nothing of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use tokio::sync::watch;

use super::exchange::Prepared;
use super::places::Place;
use super::problem::{self, Problem};
use super::routes::Entry;
use super::{Gateway, access};

/// A comment is sent when there was nothing else for this long, so that nobody takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// It is asked again without news after this long: news may get lost while NATS is away.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

pub fn stream(gateway: Arc<Gateway>, entry: &Entry, client: &str, prepared: Prepared) -> Result<Response, Problem> {
    let place = gateway.streams.take(&client.into()).ok_or_else(problem::too_many_streams)?;
    let news = gateway.wakes.of(&entry.service);
    let viewer = Viewer {
        service: entry.service.clone(),
        closing: gateway.closing.subscribe(),
        gateway,
        prepared,
        news,
        shown: None,
        _place: place,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(viewer.events()).keep_alive(keep_alive).into_response())
}

/// Somebody who watches.
struct Viewer {
    gateway: Arc<Gateway>,
    service: Arc<str>,
    prepared: Prepared,
    news: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    shown: Option<Bytes>,
    _place: Place,
}

impl Viewer {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, |mut viewer| async move {
            let event = viewer.next().await?;
            Some((Ok(event), viewer))
        })
    }

    /// The next new body; none when the stream is to end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.shown.is_some() {
                tokio::time::sleep(Duration::from_millis(self.gateway.config.live_pause_ms)).await;
                tokio::select! {
                    news = tokio::time::timeout(LOOK_AGAIN, self.news.changed()) => news.unwrap_or(Ok(())).ok()?,
                    _ = self.closing.wait_for(|closing| *closing) => return None,
                }
            }
            self.news.mark_unchanged();
            let body = self.ask().await?;
            if self.shown.as_ref() != Some(&body) {
                let event = Event::default().data(String::from_utf8_lossy(&body).replace(['\r', '\n'], " "));
                self.shown = Some(body);
                return Some(event);
            }
        }
    }

    /// What is there once the service is back, if it was away; none when the stream is to end, as after a refusal.
    async fn ask(&mut self) -> Option<Bytes> {
        loop {
            // A stream outlives its token otherwise.
            let token = access::bearer(&self.prepared.head.headers);
            if token.is_some_and(|token| self.gateway.tokens.verify(token).is_err()) {
                return None;
            }
            let call = self.prepared.again(&self.gateway, &self.service);
            let reply = tokio::select! {
                reply = call.send(&self.gateway, &self.service, Bytes::new()) => reply,
                _ = self.closing.wait_for(|closing| *closing) => return None,
            };
            match reply {
                Ok(reply) => {
                    let good = reply.headers.get(ward_proto::call::header::STATUS)?.as_str().starts_with('2');
                    return good.then_some(reply.payload);
                }
                Err(problem) if problem.is_refusal() => return None,
                Err(_) => {
                    let pause = tokio::time::sleep(Duration::from_secs(1));
                    tokio::select! {
                        () = pause => {}
                        _ = self.closing.wait_for(|closing| *closing) => return None,
                    }
                }
            }
        }
    }
}
