# ghostship, taken from GHOSTSHIP_BIN or the release build. See lib/tools.sh for what an adapter defines.
# shellcheck shell=bash

tool_binary() {
    find_binary ghostship "${GHOSTSHIP_BIN:-$root/target/release/ghostship}" "cargo build --release"
}

tool_version() { "$1" --version; }

tool_command() {
    manifest >"$BENCH_WORK/manifest.yaml"
    words "$1" run -f "$BENCH_WORK/manifest.yaml" -o json
}

# Nothing: every field keeps its default.
more_of_the_spec() { :; }

# The former table is dropped at once, as by the others; verification is on, as by default.
manifest() {
    cat <<YAML
apiVersion: v1
kind: Secret
metadata: {name: bench}
stringData:
  username: "$BENCH_USER"
  password: $(<"$BENCH_WORK/password.json")
---
apiVersion: ghostship.dev/v1alpha1
kind: MigrationTarget
metadata: {name: bench}
spec:
  host: "$BENCH_HOST"
  port: $BENCH_PORT
  credentialsSecret: {name: bench}
  tls: {mode: Disabled}
---
apiVersion: ghostship.dev/v1alpha1
kind: SchemaMigration
metadata: {name: bench}
spec:
  target: bench
  database: $BENCH_DATABASE
  table: $BENCH_TABLE
  alter: "$BENCH_ALTER"
  strategy: Copy
  postponeCutOver: false
  oldTable: {retain: 0s}
$(more_of_the_spec)
YAML
}
