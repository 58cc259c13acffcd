#!/usr/bin/env bash
# A sweep as a Slurm job array on a cluster of one node, which this script starts and stops; put together and held against the sweep of
# one process: all bytes must be equal.
#
#   tools/shards/slurm.sh [SCENARIO [SHARDS]]
#
# Needs root, the Debian packages slurmctld, slurmd, slurm-client and munge, and the program (cargo build --release, or
# FORESCALE=path/to/forescale). On a cluster that exists, the part between the two lines of dashes is all there is to it.
set -euo pipefail
cd "$(dirname "$0")/../.."
scenario=$(realpath "${1:-scenarios/two-layer.toml}")
shards=${2:-4}
program=$(realpath "${FORESCALE:-target/release/forescale}")
folder=$(mktemp -d)
chmod 755 "$folder"
host=$(hostname -s)
mkdir "$folder/state" "$folder/spool"
export SLURM_CONF="$folder/slurm.conf"
cat > "$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
AuthType=auth/munge
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
CONF

pids=()
stop() {
    kill "${pids[@]}" 2> /dev/null || true
    wait 2> /dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
if [ ! -S /run/munge/munge.socket.2 ]; then
    mkdir -p /run/munge
    chown munge: /run/munge
    runuser -u munge -- munged --foreground > "$folder/munged.log" 2>&1 &
    pids+=($!)
fi
for _ in $(seq 50); do [ -S /run/munge/munge.socket.2 ] && break; sleep 0.1; done
slurmctld -D > /dev/null 2>&1 &
pids+=($!)
slurmd -D > /dev/null 2>&1 &
pids+=($!)
for _ in $(seq 100); do sinfo --noheader --format=%T 2> /dev/null | grep -q idle && break; sleep 0.3; done
sinfo --noheader --format='%D node, %c CPUs, %T'

# ----------------------------------------------------------------------------------------------------------------------------------
sbatch --quiet --wait --array="1-$shards" --ntasks=1 --output="$folder/%A-%a.log" <<JOB
#!/bin/bash
RAYON_NUM_THREADS=1 "$program" sweep "$scenario" --quiet --out "$folder/parts" --shard auto
JOB
"$program" sweep "$scenario" --quiet --out "$folder/parts" --merge "$shards"
# ----------------------------------------------------------------------------------------------------------------------------------

"$program" sweep "$scenario" --quiet --out "$folder/whole"
for file in points.csv means.csv effects.csv trade-off.svg response.svg response.png; do
    cmp "$folder/whole/$file" "$folder/parts/$file"
done
echo "$shards tasks of a Slurm array: $(wc -l < "$folder/whole/points.csv") lines of points.csv and all charts equal those of one process"
