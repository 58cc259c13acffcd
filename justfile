# Aliases over cargo and .ci/run.

# List the aliases
default:
    @just --list

# Run a scenario: just run scenarios/front-page.toml
run scenario:
    cargo run --release -- run {{scenario}}

# All tests
test:
    cargo test

# What continuous integration runs
ci:
    bash .ci/run

# Print all benchmark figures
figures:
    cargo bench --bench figures

# Licences, sources and bans of dependencies (needs cargo-deny)
deny:
    cargo deny check licenses bans sources
