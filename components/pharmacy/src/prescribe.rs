//! Prescribing.

use ward_sdk::problem::Problem;
use ward_sdk::service::{Caller, Created, Json};

use crate::model::{MOST_ACTIVE, NewPrescription, Prescription, Status};
use crate::ports::Ports;

/// For a patient who exists, and is not deleted in the same moment.
pub fn prescribe(
    ports: &impl Ports,
    Caller(by): Caller,
    Json(new): Json<NewPrescription>,
) -> Result<Created<Prescription>, Problem> {
    if !ports.exists(new.patient_id)? || ports.lock(new.patient_id)? {
        return Err(Problem::new(422)
            .named("urn:ward:problem:no-such-patient", "There is no such patient")
            .detail("Nobody is registered with this patientId, or not any more."));
    }
    if ports.count_active(new.patient_id)? >= MOST_ACTIVE {
        return Err(Problem::new(409)
            .named("urn:ward:problem:too-many-active", "The patient has too many active prescriptions")
            .detail(format!("At most {MOST_ACTIVE} can be active. Cancel those that are not needed any more.")));
    }
    let prescription = Prescription {
        id: ports.next(),
        patient_id: new.patient_id,
        drug: new.drug,
        dose: new.dose,
        status: Status::Active,
        prescribed_by: by,
        prescribed_at: ports.now(),
        ended_by: None,
        ended_at: None,
        reason: None,
        version: 1,
    };
    ports.insert(&prescription)?;
    ports.changed(&prescription, Status::Active)?;
    Ok(Created { location: format!("/api/prescriptions/{}", prescription.id), body: prescription })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::ISSUED;
    use crate::testing::{Fake, JOHN, new_prescription};

    fn status(fake: &Fake) -> u16 {
        prescribe(fake, Caller("doc@test.com".to_owned()), Json(new_prescription(JOHN))).unwrap_err().status()
    }

    #[test]
    fn a_prescription_is_active_and_published() {
        let fake = Fake::default();
        let made = prescribe(&fake, Caller("doc@test.com".to_owned()), Json(new_prescription(JOHN))).unwrap();
        assert_eq!((made.body.status, made.body.prescribed_by.as_str()), (Status::Active, "doc@test.com"));
        assert_eq!(fake.published(), [(ISSUED, made.body.id, 1)]);
        assert_eq!(made.location, format!("/api/prescriptions/{}", made.body.id));
    }

    #[test]
    fn nobody_unknown_or_gone_gets_one() {
        assert_eq!(status(&Fake::default().without_patients()), 422);
        let fake = Fake::default();
        crate::settle::patient_gone(&fake, JOHN).unwrap();
        assert_eq!(status(&fake), 422);
        assert!(fake.published().is_empty());
    }

    #[test]
    fn a_patient_service_that_is_down_is_a_503_and_not_a_guess() {
        let fake = Fake::default().with_failing_patients();
        assert_eq!(status(&fake), 503);
        assert!(fake.published().is_empty());
    }

    #[test]
    fn the_number_of_active_ones_is_bounded() {
        let fake = Fake::default();
        for _ in 0..MOST_ACTIVE {
            prescribe(&fake, Caller(String::new()), Json(new_prescription(JOHN))).unwrap();
        }
        assert_eq!(status(&fake), 409);
    }
}
