//! The listener: connections, bounded in number, in the time that they may take to say what they want, and in that for which
//! they keep a place without a use for it ([`super::activity`]).

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use super::activity::{self, Activity, Touching};

/// How often an HTTP/2 connection is asked for a sign of life.
const PING: Duration = Duration::from_secs(10);
/// How long connections that rest may still be used, each for one more request. Closing them at once would meet requests that are
/// on their way.
const LINGER: Duration = Duration::from_millis(500);
/// When no place is free for so long, connections that rest are closed.
const CROWDED: Duration = Duration::from_millis(100);
/// The pause after an accept that failed, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
pub struct Bounds {
    pub connections: usize,
    /// For how long a connection may rest.
    pub idle: Duration,
    /// For how long what is under way may go on at the end.
    pub drain: Duration,
}

/// Serves until `shutdown` ends, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    shutdown: impl Future<Output = ()>,
    is_closing: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let crowded = Arc::new(Notify::new());
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places, &crowded) => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (activity, crowded) = (Activity::new(), crowded.clone());
                let closing = is_closing.clone();
                let connection = connect(stream, peer, router.clone(), activity.clone(), bounds.idle, closing);
                let connection = graceful.watch(connection);
                tokio::spawn(async move {
                    tokio::select! {
                        // What has come already is answered.
                        biased;
                        // A client that went away, or that was too slow, is nobody's fault here.
                        ended = connection => if let Err(error) = ended {
                            tracing::debug!(%error, "a connection ended early");
                        },
                        () = activity.rested(bounds.idle, &crowded) => tracing::debug!("a connection was closed: it rested"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Nobody is kept waiting in the backlog of a host that takes no more.
    drop(listener);
    let end = Instant::now() + LINGER;
    while graceful.count() > 0 && Instant::now() < end {
        tokio::time::sleep(LINGER / 20).await;
    }
    if tokio::time::timeout(bounds.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were open for longer than the gateway waits; they are cut off");
    }
}

/// The last answer on a connection says so, and the client makes its next request elsewhere.
async fn answer(
    router: Router,
    request: Request<Incoming>,
    is_closing: watch::Receiver<bool>,
) -> Result<Response, Infallible> {
    // HTTP/2 has a message of its own for it.
    let says_close = request.version() <= Version::HTTP_11;
    let mut response = router.oneshot(request).await?;
    if says_close && *is_closing.borrow() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Without a place one connection waits here, and the others in the backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    crowded: &Notify,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let (stream, peer) = listener.accept().await?;
    let place = loop {
        match tokio::time::timeout(CROWDED, places.clone().acquire_owned()).await {
            Ok(place) => break place.map_err(std::io::Error::other)?,
            Err(_) => crowded.notify_waiters(),
        }
    };
    // Small answers must not wait for more.
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

fn connect(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    activity: Arc<Activity>,
    idle: Duration,
    is_closing: watch::Receiver<bool>,
) -> impl GracefulConnection<Error = Box<dyn Error + Send + Sync>> + Send {
    let stream = Touching { stream, activity: activity.clone() };
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        let (under_way, activity) = (activity.begin(), activity.clone());
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = answer(router.clone(), request, is_closing.clone());
        async move {
            let answer = answer.await.map(|answer| answer.map(|body| activity::watched(body, &activity)));
            drop(under_way);
            answer
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(PING));
    builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned()
}
