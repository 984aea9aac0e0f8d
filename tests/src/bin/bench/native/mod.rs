//! The yardstick: what an experienced engineer would write for three of Ward's routes with axum and sqlx, and no more.
//!
//! It is the same work: the component's own domain code (checks, folded names, duplicates), the component's own
//! statements, pools of the same size, the same token checked against the same keys with the same memory for verified tokens, answers
//! that are equal to the byte. A registration takes five round trips: begin, look for duplicates, insert, outbox and
//! idempotency in one, commit. It has no plugins, no bus on the way of a request, no limits, no metrics.
//!
//! It runs in a process of its own, so that its share of the processor can be seen. Start reading at [`routes`].

mod outbox;
mod routes;
mod store;
mod tokens;

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use clap::Args;
use tokio::net::TcpListener;

pub use store::prepare;
pub use tokens::now;

use store::Store;
use tokens::Tokens;

/// How the bench starts it.
#[derive(Debug, Args)]
pub struct Options {
    #[arg(long)]
    pub listen: SocketAddr,
    /// Of a database that [`prepare`] has made.
    #[arg(long)]
    pub database: String,
    /// Ward's public keys (RFC 7517).
    #[arg(long)]
    pub keys: String,
    #[arg(long)]
    pub writers: u32,
    #[arg(long)]
    pub readers: u32,
    /// Send what is in the outbox to this NATS server; without it the outbox is only filled.
    #[arg(long)]
    pub nats: Option<String>,
}

/// What every request needs.
pub struct Native {
    store: Store,
    tokens: Tokens,
}

pub async fn serve(options: Options) {
    let store = Store::open(&options);
    if let Some(url) = &options.nats {
        outbox::start(url, &store).await;
    }
    let native = Native { store, tokens: Tokens::new(&options.keys) };
    let router = Router::new()
        .route("/api/patients", get(routes::list).post(routes::register))
        .route("/api/patients/{id}", get(routes::find))
        .with_state(std::sync::Arc::new(native));
    let listener = TcpListener::bind(options.listen).await.unwrap().tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.unwrap();
}
