//! How prescriptions end.

use ward_sdk::Uuid;
use ward_sdk::events::{Disposition, Event};
use ward_sdk::ports::StoreError;
use ward_sdk::problem::Problem;
use ward_sdk::service::{Caller, Json, Path};

use crate::events::PatientDeleted;
use crate::model::{Cancellation, End, Prescription, Status};
use crate::ports::Ports;
use crate::read::not_found;

pub fn dispense(ports: &impl Ports, Path(id): Path<Uuid>, Caller(by): Caller) -> Result<Json<Prescription>, Problem> {
    end(ports, id, End { status: Status::Dispensed, by, at: ports.now(), reason: None })
}

pub fn cancel(
    ports: &impl Ports,
    Path(id): Path<Uuid>,
    Caller(by): Caller,
    Json(why): Json<Cancellation>,
) -> Result<Json<Prescription>, Problem> {
    let reason = Some(why.reason.to_string());
    end(ports, id, End { status: Status::Cancelled, by, at: ports.now(), reason })
}

/// The event `patient.deleted`.
pub fn hear_patient_deleted(ports: &impl Ports, message: PatientDeleted, _: &Event) -> Result<(), Disposition> {
    let id = Uuid::try_parse(&message.patient_id);
    let id = id.map_err(|_| Disposition::Reject("the patient's id is not a UUID".to_owned()))?;
    Ok(patient_gone(ports, id)?)
}

/// Cancels what is active, and lets nothing be prescribed any more.
pub fn patient_gone(ports: &impl Ports, patient_id: Uuid) -> Result<(), StoreError> {
    ports.mark_gone(patient_id)?;
    let end = End {
        status: Status::Cancelled,
        by: "pharmacy".to_owned(),
        at: ports.now(),
        reason: Some("the patient was deleted".to_owned()),
    };
    let cancelled = ports.end_all(patient_id, &end)?;
    cancelled.iter().try_for_each(|prescription| ports.changed(prescription, Status::Cancelled))?;
    ward_sdk::info!("a patient is gone", patient = patient_id, cancelled = cancelled.len());
    Ok(())
}

fn end(ports: &impl Ports, id: Uuid, end: End) -> Result<Json<Prescription>, Problem> {
    match ports.end(id, &end)? {
        Some(ended) => {
            ports.changed(&ended, end.status)?;
            Ok(Json(ended))
        }
        None => {
            let status = ports.find(id)?.ok_or_else(not_found)?.status;
            Err(Problem::new(409)
                .named("urn:ward:problem:not-active", "The prescription is not active any more")
                .member("prescriptionStatus", status.text().into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{CANCELLED, DISPENSED, ISSUED};
    use crate::testing::{Fake, JANE, JOHN};

    fn caller() -> Caller {
        Caller("doc@test.com".to_owned())
    }

    #[test]
    fn what_was_dispensed_cannot_be_cancelled() {
        let fake = Fake::default();
        let id = fake.prescribed(JOHN);
        let dispensed = dispense(&fake, Path(id), caller()).unwrap().0;
        assert_eq!((dispensed.status, dispensed.version), (Status::Dispensed, 2));
        let why = Cancellation { reason: "no need".to_owned().into() };
        assert_eq!(cancel(&fake, Path(id), caller(), Json(why)).unwrap_err().status(), 409);
        assert_eq!(fake.published(), [(ISSUED, id, 1), (DISPENSED, id, 2)]);
    }

    #[test]
    fn a_cancellation_keeps_who_and_why() {
        let fake = Fake::default();
        let id = fake.prescribed(JOHN);
        let why = Cancellation { reason: "allergy".to_owned().into() };
        let cancelled = cancel(&fake, Path(id), caller(), Json(why)).unwrap().0;
        assert_eq!(cancelled.ended_by.as_deref(), Some("doc@test.com"));
        assert_eq!(cancelled.reason.as_deref(), Some("allergy"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(dispense(&Fake::default(), Path(JOHN), caller()).unwrap_err().status(), 404);
    }

    #[test]
    fn a_patient_who_is_gone_has_nothing_active_and_others_keep_theirs() {
        let fake = Fake::default();
        let (active, done, other) = (fake.prescribed(JOHN), fake.prescribed(JOHN), fake.prescribed(JANE));
        dispense(&fake, Path(done), caller()).unwrap();
        patient_gone(&fake, JOHN).unwrap();
        assert_eq!(fake.status(active), Status::Cancelled);
        assert_eq!(fake.status(done), Status::Dispensed);
        assert_eq!(fake.status(other), Status::Active);
        assert_eq!(fake.published().last(), Some(&(CANCELLED, active, 2)));
    }

    #[test]
    fn an_event_that_is_delivered_again_changes_nothing() {
        let fake = Fake::default();
        fake.prescribed(JOHN);
        patient_gone(&fake, JOHN).unwrap();
        let before = fake.published();
        patient_gone(&fake, JOHN).unwrap();
        assert_eq!(fake.published(), before);
    }
}
