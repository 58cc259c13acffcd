#!/usr/bin/env bash
# Flame graphs of the three hottest paths, from samples of the figures' bench, into docs/images. Needs Linux's perf and `cargo install inferno`.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench --quiet --profile instructions --bench figures --no-run
program=$(cargo bench --quiet --profile instructions --bench figures --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*figures[^"]*\)".*/\1/p')
data=$(mktemp)
trap 'rm -f "$data"' EXIT

# NAME, the frame that is the root, samples a second, the figure, the title
graph() {
  perf record -q -o "$data" -e cpu-clock -F "$3" --call-graph dwarf,16384 "$program" "$4"
  # Names without the modules that a reader knows; what is below the root left out.
  perf script --no-inline -i "$data" 2>/dev/null | inferno-collapse-perf | grep "$2" |
    sed -E "s/.*;([^;]*$2)/\1/; s/<impl [a-z_:]*([A-Za-z]+)>/\1/g; s/([a-z_0-9]+::)+([A-Z<])/\2/g; s/([a-z_0-9]+::)+([a-z_0-9]+::[a-z_0-9]+)/\2/g" |
    inferno-flamegraph --title "$5" --nametype "" --countname ns --minwidth 0.2 --width 1100 --fontsize 11 --hash >"docs/images/flame-$1.svg"
}

graph messages "simulation::run" 1499 mm10_like_aws "Messages: M/M/10"
graph provisioning "scheduling::solver::solve[; ]" 2999 provisioning_10000_pods_100_shapes "A provisioning pass of Karpenter: 10,000 pods of 100 shapes"
graph scheduler "Placement::place" 4999 scheduler_7064 "kube-scheduler: 7,064 pods on 1,200 nodes"
