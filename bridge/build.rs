//! Generates the gRPC service from `proto/protos/billing.proto` without protoc. The messages are those of `ward-proto`.

use std::path::PathBuf;

const PROTOS: &str = "../proto/protos";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut compiler = protox::Compiler::new([PROTOS])?;
    compiler.include_imports(true).include_source_info(true).open_file("billing.proto")?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // What the reflection service shows.
    std::fs::write(out.join("billing.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .extern_path(".BillingRequest", "::ward_proto::billing::BillingRequest")
        .extern_path(".BillingResponse", "::ward_proto::billing::BillingResponse")
        .compile_fds(compiler.file_descriptor_set())?;
    println!("cargo:rerun-if-changed={PROTOS}");
    Ok(())
}
