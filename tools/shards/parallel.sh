#!/usr/bin/env bash
# A sweep in several processes under GNU parallel, put together and held against the sweep of one process: all bytes must be equal.
#
#   tools/shards/parallel.sh [SCENARIO [SHARDS]]
#
# Needs GNU parallel (Debian: apt-get install parallel) and the program (cargo build --release, or FORESCALE=path/to/forescale).
set -euo pipefail
cd "$(dirname "$0")/../.."
scenario=${1:-scenarios/two-layer.toml}
shards=${2:-4}
program=${FORESCALE:-target/release/forescale}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$program" sweep "$scenario" --quiet --out "$folder/whole"
# A thread each, as if every shard had a machine of its own.
export RAYON_NUM_THREADS=1
seq 0 $((shards - 1)) | parallel --halt now,fail=1 --jobs 2 \
    "$program" sweep "$scenario" --quiet --out "$folder/parts" --shard "{}/$shards"
"$program" sweep "$scenario" --quiet --out "$folder/parts" --merge "$shards"

for file in points.csv means.csv effects.csv trade-off.svg response.svg response.png; do
    cmp "$folder/whole/$file" "$folder/parts/$file"
done
echo "$shards shards under GNU parallel: $(wc -l < "$folder/whole/points.csv") lines of points.csv and all charts equal those of one process"
