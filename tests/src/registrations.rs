//! Clients that register patients and do not give up: what is not answered is sent again under its `Idempotency-Key`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clinic::registration_of;
use crate::rest::Rest;
use crate::{PAUSE, within};

const CLIENTS: usize = 8;
const BOUND: Duration = Duration::from_secs(120);

/// A number of registrations on their way.
pub struct Registrations {
    clients: JoinSet<()>,
    count: usize,
    answered: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Registrations {
    pub fn start(rest: &Rest, count: usize) -> Self {
        let mut registrations = Self { clients: JoinSet::new(), count, answered: Arc::default() };
        for client in 0..CLIENTS {
            let (rest, answered) = (rest.clone(), registrations.answered.clone());
            registrations.clients.spawn(async move {
                for number in (client..count).step_by(CLIENTS) {
                    let name = format!("Person-{number:04}");
                    let id = until_answered(&rest, &name).await;
                    answered.lock().await.insert(name, id);
                }
            });
        }
        registrations
    }

    /// Waits until so many are answered.
    pub async fn until(&self, count: usize) {
        within(BOUND, "registrations are answered", async || (self.answered.lock().await.len() >= count).then_some(()))
            .await;
    }

    /// Waits until all are answered: the names, each with the id that it got.
    pub async fn end(self) -> BTreeMap<String, String> {
        self.clients.join_all().await;
        let answered = self.answered.lock().await.clone();
        assert_eq!(answered.len(), self.count);
        answered
    }
}

async fn until_answered(rest: &Rest, name: &str) -> String {
    let end = Instant::now() + BOUND;
    loop {
        let request = rest.request(Method::POST, "/api/patients").header("idempotency-key", name);
        if let Ok(answer) = request.json(registration_of(name)).try_send().await {
            // 409: the first try is still running. A likely duplicate would be one as well, and would never end.
            assert!(matches!(answer.status, 201 | 409 | 429 | 500..), "{name}: {} {}", answer.status, answer.text());
            if answer.status == 201 {
                return answer.json()["id"].as_str().expect("an id").to_owned();
            }
        }
        assert!(Instant::now() < end, "{name} is never answered");
        tokio::time::sleep(PAUSE).await;
    }
}
