# The chores. `just` lists them; https://just.systems has the program.

default:
    @just --list

# All tests: laws, stories, a round of the simulator, real nodes
test *args:
    cargo test --workspace {{args}}

# Formatting and lints, warnings are errors; the pure parts, the client and the node on their own too
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --no-default-features --features core --lib --locked -- -D warnings
    cargo clippy --no-default-features --features client --lib --locked -- -D warnings
    cargo clippy --no-default-features --features node --lib --locked -- -D warnings

# The whole gate, as it runs for every change
gate:
    bash .ci/run

# One run of the simulator, with what happened: just sim 7
sim seed="1" *args:
    cargo run --release -p forename-sim -- run --seed {{seed}} {{args}}

# A round of the simulator, as the tests run it
round:
    cargo test -p forename-sim --test round

# Many seeds of the simulator: just explore 10000
explore seeds="10000" *args:
    cargo run --release -p forename-sim -- explore --seeds {{seeds}} {{args}}

# How soon each planted bug is found
planted batches="1" seeds="4000":
    cargo run --release -p forename-sim --features planted -- planted --batches {{batches}} --seeds {{seeds}}

# Links of the documentation, and the documentation of the types
docs:
    cargo test --test docs
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# What is handed out, built and checked
deploy:
    bash deploy/check.sh

# Three nodes, a cut link, two people who want one name
demo:
    cargo run --release -- demo
