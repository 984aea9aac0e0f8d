//! The REST door. It knows no route of its own but for the few of the host; what else there is, the loaded services say.
//!
//! ```text
//! request -> concurrency -> route -> token, role -> rate -> body -> one call over NATS -> response
//! ```
//!
//! Each step has its refusal with a status of its own, always as problem+json (`problem`). The way of a request is [`forward`].

mod access;
mod activity;
mod documents;
mod exchange;
mod forward;
mod health;
mod hedge;
mod limits;
mod live;
mod places;
mod problem;
mod routes;
mod server;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use swagger_ui_dist::{ApiDefinition, OpenApiSource};
use tokio::net::TcpListener;
use tokio::sync::watch;
use ward_telemetry::Recorder;

pub use routes::RouteTable;

use crate::calls::client::Client;
use crate::config;
use crate::events::Wakes;
use crate::metrics::Metrics;
use crate::security::Tokens;
use crate::services::{Service, Services};
use limits::RateLimit;
use places::Places;
use server::Bounds;

/// What every request needs.
pub struct Gateway {
    pub config: config::Http,
    pub public_url: String,
    pub client: Client,
    pub tokens: Arc<Tokens>,
    pub services: Arc<Services>,
    pub routes: ArcSwap<RouteTable>,
    pub wakes: Arc<Wakes>,
    pub metrics: Arc<Metrics>,
    pub recorder: Recorder,
    rate: RateLimit,
    /// By service.
    requests: Arc<Places>,
    /// By service.
    hedges: Arc<Places>,
    /// By client.
    streams: Arc<Places>,
    /// True once the host shuts down; streams end then, and connections with their next answer.
    closing: watch::Sender<bool>,
}

/// What the composition root hands over.
pub struct Parts {
    pub config: config::Http,
    pub public_url: String,
    pub client: Client,
    pub tokens: Arc<Tokens>,
    pub services: Arc<Services>,
    pub wakes: Arc<Wakes>,
    pub metrics: Arc<Metrics>,
    pub recorder: Recorder,
}

impl Gateway {
    pub fn new(parts: Parts) -> Arc<Self> {
        let gateway = Self {
            rate: RateLimit::new(&parts.config),
            requests: Places::new(parts.config.concurrency),
            hedges: Places::new(parts.config.hedges),
            streams: Places::new(parts.config.live_streams),
            closing: watch::channel(false).0,
            routes: ArcSwap::from_pointee(RouteTable::default()),
            config: parts.config,
            public_url: parts.public_url,
            client: parts.client,
            tokens: parts.tokens,
            services: parts.services,
            wakes: parts.wakes,
            metrics: parts.metrics,
            recorder: parts.recorder,
        };
        Arc::new(gateway)
    }

    /// Makes the route table anew, whenever another generation serves.
    pub async fn follow(self: Arc<Self>, mut changed: watch::Receiver<()>) {
        let mut pause = tokio::time::interval(FORGET_PAUSE);
        loop {
            tokio::select! {
                changed = changed.changed() => match changed {
                    Ok(()) => {
                        let serving = self.services.all().into_iter().filter_map(|service| service.lineup());
                        self.routes.store(Arc::new(RouteTable::of(&serving.collect::<Vec<_>>(), &self.public_url)));
                    }
                    Err(_) => return,
                },
                _ = pause.tick() => self.rate.forget_idle(),
            }
        }
    }

    /// The answer for a path that no service has; while services are still coming up, one of them may have it.
    fn unknown(&self) -> problem::Problem {
        let routes = self.routes.load();
        let is_coming = |service: &&Arc<Service>| match service.current() {
            None => service.is_coming(),
            Some(generation) => !routes.has(service.name.as_str(), generation.number),
        };
        match self.services.all().iter().find(is_coming) {
            Some(service) => problem::starting(service.name.as_str()),
            None => problem::unknown_route(),
        }
    }

    /// Serves until `shutdown` ends, then finishes what is under way, at most for `drain`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, drain: Duration, shutdown: impl Future<Output = ()>) {
        let bounds =
            Bounds { connections: self.config.connections, idle: Duration::from_millis(self.config.idle_ms), drain };
        let (gateway, is_closing) = (self.clone(), self.closing.subscribe());
        let closing = async move {
            shutdown.await;
            gateway.closing.send_replace(true);
        };
        server::serve(listener, router(self), bounds, closing, is_closing).await;
    }
}

fn router(gateway: Arc<Gateway>) -> Router {
    let page =
        ApiDefinition { uri_prefix: "/docs", api_definition: OpenApiSource::Uri("/api-docs"), title: Some("Ward API") };
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/.well-known/jwks.json", get(keys))
        .route("/api-docs", get(documents::merged))
        .route("/api-docs/{name}", get(documents::of_service))
        .method_not_allowed_fallback(async || problem::method_not_allowed("GET, HEAD"))
        .fallback(forward::forward)
        .with_state(gateway)
        .merge(swagger_ui_dist::generate_routes(page))
}

async fn keys(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    // Half a minute, so that a new key is known everywhere soon after it signs.
    let cache = [(axum::http::header::CACHE_CONTROL, "public, max-age=30")];
    (cache, axum::Json(gateway.tokens.jwks()))
}

/// How often clients that were not seen for a while are forgotten.
const FORGET_PAUSE: Duration = Duration::from_secs(60);

/// How long a client that was turned away shall wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);
