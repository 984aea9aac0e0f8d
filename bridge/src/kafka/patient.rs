//! The old system's message on the topic `patient`, made of the clinic's own events.

use prost::Message;
use ward_proto::clinic_events::{PatientDeleted, PatientRegistered, PatientUpdated};
use ward_proto::patient_events::PatientEvent;

use super::record::Malformed;

/// The `PatientEvent` for an event of the type `kind` with the message `data`.
pub fn patient_event(kind: &str, id: &str, version: u64, data: &[u8]) -> Result<PatientEvent, Malformed> {
    let event = match kind {
        "patient.registered" => {
            let patient = PatientRegistered::decode(data).map_err(|_| Malformed::Undecodable)?;
            event("PATIENT_CREATED", patient.patient_id, patient.name, patient.email)
        }
        "patient.updated" => {
            let patient = PatientUpdated::decode(data).map_err(|_| Malformed::Undecodable)?;
            event("PATIENT_UPDATED", patient.patient_id, patient.name, patient.email)
        }
        "patient.deleted" => {
            let patient = PatientDeleted::decode(data).map_err(|_| Malformed::Undecodable)?;
            event("PATIENT_DELETED", patient.patient_id, String::new(), String::new())
        }
        _ => return Err(Malformed::NotOfAPatient),
    };
    Ok(PatientEvent { event_id: id.to_owned(), version, ..event })
}

fn event(kind: &str, patient_id: String, name: String, email: String) -> PatientEvent {
    PatientEvent { patient_id, name, email, event_type: kind.to_owned(), ..PatientEvent::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_the_old_systems_patient_created() {
        let registered = PatientRegistered {
            patient_id: "p".into(),
            name: "John Doe".into(),
            email: "john@example.com".into(),
            registered_date: "2026-01-10".into(),
        };
        let event = patient_event("patient.registered", "e", 1, &registered.encode_to_vec()).unwrap();
        // Fields 1 to 4 as the old consumers know them, byte by byte.
        let mut old = Vec::new();
        for (field, text) in [(1, "p"), (2, "John Doe"), (3, "john@example.com"), (4, "PATIENT_CREATED")] {
            old.extend([field << 3 | 2, text.len() as u8]);
            old.extend(text.as_bytes());
        }
        assert!(event.encode_to_vec().starts_with(&old));
        assert_eq!((event.event_id.as_str(), event.version), ("e", 1));
    }

    #[test]
    fn a_deletion_carries_the_id_only() {
        let deleted = PatientDeleted { patient_id: "p".into() };
        let event = patient_event("patient.deleted", "e", 3, &deleted.encode_to_vec()).unwrap();
        assert_eq!(event.event_type, "PATIENT_DELETED");
        assert_eq!((event.patient_id.as_str(), event.name.as_str(), event.email.as_str()), ("p", "", ""));
    }

    #[test]
    fn refuses_other_events_and_broken_messages() {
        let of = |kind, data: &[u8]| patient_event(kind, "e", 1, data).unwrap_err();
        assert_eq!(of("billing.account.opened", b""), Malformed::NotOfAPatient);
        assert_eq!(of("patient.updated", b"\xff"), Malformed::Undecodable);
    }
}
