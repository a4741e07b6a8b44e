# The images for those who have Docker; `cargo xtask image` builds them without.
#   docker build --target router -t tiny-dancer/router .
#   docker build --target operator -t tiny-dancer/operator .
FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends musl-tools \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN rustup target add x86_64-unknown-linux-musl
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --target x86_64-unknown-linux-musl \
        --package tinydancer-server --bin tiny-dancer-router \
        --package tinydancer-operator --bin tiny-dancer-operator \
    && mkdir /programs \
    && cp target/x86_64-unknown-linux-musl/release/tiny-dancer-router \
          target/x86_64-unknown-linux-musl/release/tiny-dancer-operator /programs/

FROM scratch AS router
COPY --from=build /programs/tiny-dancer-router /tiny-dancer-router
USER 65532:65532
ENTRYPOINT ["/tiny-dancer-router"]

FROM scratch AS operator
COPY --from=build /programs/tiny-dancer-operator /tiny-dancer-operator
USER 65532:65532
ENTRYPOINT ["/tiny-dancer-operator"]
