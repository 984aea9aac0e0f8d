//! Answers what people ask of all hosts about calls: which functions there are, what happened to a call, what was logged.

use std::sync::Arc;

use futures_util::StreamExt;
use ward_proto::call::subject;
use ward_telemetry::Recorder;

use crate::bus::{Bus, BusError, Headers};
use crate::logs::Logs;
use crate::services::{FunctionStatus, Services};

pub(super) struct Questions {
    pub host: String,
    pub bus: Arc<Bus>,
    pub services: Arc<Services>,
    pub recorder: Recorder,
    pub logs: Logs,
}

impl Questions {
    /// For ever.
    pub async fn answer(self) -> Result<(), BusError> {
        let mut functions = self.bus.subscribe(subject::FUNCTIONS.to_owned()).await?;
        let mut spans = self.bus.subscribe(subject::SPANS.to_owned()).await?;
        let mut logs = self.bus.subscribe(subject::LOGS.to_owned()).await?;
        loop {
            let (request, body) = tokio::select! {
                Some(request) = functions.next() => (request, serde_json::to_vec(&self.functions()).unwrap_or_default()),
                Some(request) = spans.next() => {
                    let answer = self.recorder.answer(&request.payload);
                    (request, answer)
                }
                Some(request) = logs.next() => {
                    let answer = self.logs.answer(&self.host, &request.payload);
                    (request, answer)
                }
                else => return Ok(()),
            };
            self.bus.reply(&request, Headers::new(), body.into()).await;
        }
    }

    fn functions(&self) -> Vec<FunctionStatus> {
        let services = self.services.all();
        let serving = services.iter().filter_map(|service| service.current());
        serving.flat_map(|generation| FunctionStatus::of(&generation)).collect()
    }
}
