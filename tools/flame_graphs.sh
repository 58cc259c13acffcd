#!/usr/bin/env bash
# Flame graphs of the three hottest paths, from samples of the figures' bench, into docs/images. Needs Linux's perf and `cargo install inferno`.
# A program as argument is taken for the built bench.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-}
if [ -z "$program" ]; then
  cargo bench --quiet --bench figures --no-run
  program=$(cargo bench --quiet --bench figures --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*figures[^"]*\)".*/\1/p')
fi
data=$(mktemp) stacks=$(mktemp)
trap 'rm -f "$data" "$stacks"' EXIT

# NAME, the frame that is the root, samples a second, the figure, how many times it runs, the title
graph() {
  : >"$stacks"
  for _ in $(seq "$5"); do
    perf record -q -o "$data" -e cpu-clock -F "$3" --call-graph dwarf,16384 "$program" "$4"
    perf script --no-inline -i "$data" 2>/dev/null | inferno-collapse-perf >>"$stacks"
  done
  # What is below the root is left out, and interrupts, which belong to other programs. The kernel, the allocator and the sorting
  # of the standard library are one frame each. Names go without the modules and traits that a reader knows.
  grep "$2" "$stacks" | grep -v ';asm_sysvec_' |
    sed -E "s/.*;([^;]*$2)/\1/
      s/;(asm_exc|entry_SYSCALL).* ([0-9]+)$/;kernel \2/
      s/;_*(libc_)?(malloc|calloc|realloc|cfree|free)(@[^;]*)?(;.*)? ([0-9]+)$/;allocator \5/
      s/;core::slice::sort::[^;]*(;.*)? ([0-9]+)$/;sort \2/
      s/;alloc::raw_vec::[^; ]*(;alloc::raw_vec::[^; ]*)*/;grow/g
      s/<impl [a-z_:]*([A-Za-z]+)>/\1/g; s/([a-z_0-9]+::)+([A-Z<])/\2/g; s/<([A-Za-z]+)[^;]* as [A-Za-z]+[^;]*>::/\1::/g
      s/([a-z_0-9]+::)+([a-z_0-9]+::[a-z_0-9]+)/\2/g; s/;__mem([a-z]+)_[^; ]*/;mem\1/g" |
    inferno-flamegraph --title "$6" --nametype "" --countname ns --minwidth 0.2 --width 1100 --fontsize 12 --fontwidth 0.62 --hash >"docs/images/flame-$1.svg"
}

graph messages "Run::finished" 1499 mm10_like_aws 1 "Messages: M/M/10"
graph provisioning "scheduling::solver::solve[; ]" 4999 provisioning_10000_pods_100_shapes 10 "A provisioning pass of Karpenter: 10,000 pods of 100 shapes"
graph scheduler "Placement::place" 4999 scheduler_7064 3 "kube-scheduler: 7,064 pods on 1,200 nodes"
