//! The contracts between processes: the messages of `protos/`, and the names of the call envelope.
//!
//! Usable natively and in a component. The gRPC service itself is generated where it is served, in the bridge.

pub mod call;

/// The billing messages of `protos/billing.proto`, which has no package.
pub mod billing {
    include!(concat!(env!("OUT_DIR"), "/_.rs"));
}

/// `patient.events`: what the Kafka topic `patient` carries.
pub mod patient_events {
    include!(concat!(env!("OUT_DIR"), "/patient.events.rs"));
}

/// `clinic.events.v1`: the events of the clinic.
pub mod clinic_events {
    include!(concat!(env!("OUT_DIR"), "/clinic.events.v1.rs"));
}
