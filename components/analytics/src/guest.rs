//! The doors of the component.

use ward_proto::clinic_events::{BillingAccountOpened, PatientDeleted, PatientRegistered};
use ward_sdk::description::Component;
use ward_sdk::events::{self, Disposition, Event};
use ward_sdk::export::{Described, Served, Subscribed};
use ward_sdk::http::{Request, Response};
use ward_sdk::ports::StoreError;
use ward_sdk::time::{Timestamp, read_date};
use ward_sdk::{Date, Uuid};

use crate::description::{ACCOUNT_OPENED, PATIENT_DELETED, PATIENT_REGISTERED};
use crate::model::PatientId;
use crate::store::{self, Host};
use crate::{count, description, routes};

struct Analytics;

ward_sdk::export!(Analytics: described, served, subscribed);

impl Described for Analytics {
    fn describe() -> Component {
        description::describe()
    }

    fn probe() -> Result<(), StoreError> {
        store::probe()
    }
}

impl Served for Analytics {
    fn handle(request: Request) -> Response {
        routes::handle(&Host, &request)
    }
}

impl Subscribed for Analytics {
    fn receive(_: &str, event: Event) -> Result<(), Disposition> {
        match event.type_.as_str() {
            PATIENT_REGISTERED => {
                let patient: PatientRegistered = events::read(&event)?;
                let day = registered_day(&patient, &event)?;
                Ok(count::registered(&Host, id(&patient.patient_id)?, day)?)
            }
            PATIENT_DELETED => {
                let patient: PatientDeleted = events::read(&event)?;
                Ok(count::deleted(&Host, id(&patient.patient_id)?)?)
            }
            ACCOUNT_OPENED => {
                let account: BillingAccountOpened = events::read(&event)?;
                Ok(count::account_opened(&Host, id(&account.patient_id)?)?)
            }
            _ => Err(reject("the event's type is not one that was asked for")),
        }
    }
}

fn id(text: &str) -> Result<PatientId, Disposition> {
    Uuid::try_parse(text).map(PatientId).map_err(|_| reject("the patient's id is not a UUID"))
}

/// The clinic's day, if the event says so.
fn registered_day(patient: &PatientRegistered, event: &Event) -> Result<Date, Disposition> {
    let day = read_date(&patient.registered_date).or_else(|| Timestamp(event.time).date(0));
    day.ok_or_else(|| reject("the event has neither a day nor a time"))
}

fn reject(reason: &str) -> Disposition {
    Disposition::Reject(reason.to_owned())
}
