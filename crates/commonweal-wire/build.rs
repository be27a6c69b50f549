//! Compiles the protocol's grammar, without a protobuf compiler on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/commonweal.proto");
    let files = protox::compile(["proto/commonweal.proto"], ["proto"])?;
    prost_build::Config::new()
        .disable_comments(["."])
        .compile_fds(files)?;
    Ok(())
}
