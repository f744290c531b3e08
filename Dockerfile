# One static binary in an otherwise empty image. Nothing in it needs a shell, root or a writable file system.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY src src
# A target named in full keeps the flag away from build scripts and derive macros, which cannot be static.
RUN RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --bin ghostship --target x86_64-unknown-linux-gnu

FROM scratch
COPY --from=build /build/target/x86_64-unknown-linux-gnu/release/ghostship /ghostship
USER 65532:65532
ENTRYPOINT ["/ghostship"]
