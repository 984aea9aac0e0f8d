//! Compiles the messages without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["billing.proto", "patient_event.proto", "clinic_events.proto"];
    let descriptors = protox::compile(files, ["protos"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=protos");
    Ok(())
}
