//! The listener: connections, bounded in number and in the time that they may take to say what they want.

use std::convert::Infallible;
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
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

/// A connection that has not sent the head of its next request by then is closed, unless it rests between two.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long connections that rest may still be used, each for one more request. Closing them at once would meet requests that are
/// on their way.
const LINGER: Duration = Duration::from_millis(500);
/// The pause after an accept that failed, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` ends, then finishes what is under way, at most for `drain`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: usize,
    drain: Duration,
    shutdown: impl Future<Output = ()>,
    is_closing: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer, place)) => begin(stream, peer, place, router.clone(), &graceful, is_closing.clone()),
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
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
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

/// A place first: without one, connections wait in the backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Small answers must not wait for more.
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

fn begin(
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    router: Router,
    graceful: &GracefulShutdown,
    is_closing: watch::Receiver<bool>,
) {
    let heard = Arc::new(Notify::new());
    let spoke = heard.clone();
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        spoke.notify_one();
        request.extensions_mut().insert(ConnectInfo(peer));
        answer(router.clone(), request, is_closing.clone())
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(HEAD_PATIENCE));
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
    let connection = graceful.watch(connection);
    // The HTTP library counts from the first bytes on.
    let silent = async move {
        if tokio::time::timeout(HEAD_PATIENCE, heard.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            // A client that went away, or that was too slow, is nobody's fault here.
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            },
            () = silent => tracing::debug!("a connection was closed: no request came"),
        }
        drop(place);
    });
}
