#!/usr/bin/env bash
# Fills fuzz/corpus with the scenarios, manifests and texts of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
for target in scenario manifests quantity duration cron formula trace; do mkdir -p "fuzz/corpus/$target"; done
copy() { local target=$1; shift; for file in "$@"; do cp "$file" "fuzz/corpus/$target/$(echo "$file" | tr / _)"; done; }
copy scenario scenarios/*.toml scenarios/problems/*.toml tests/data/soak/*.toml tests/data/bad/*/scenario.toml
copy manifests scenarios/manifests/*/*.yaml tests/data/bad/*/*.yaml
words() { local target=$1; shift; local number=0; for text in "$@"; do printf '%s' "$text" > "fuzz/corpus/$target/word$number"; number=$((number + 1)); done; }
words quantity 1 100m 1.5Gi 2e3 -1k 0.1n 9223372036854775807 1E 1Ei .5 1e-3 12Ki
words duration 1s 1h30m 1.5h 300ms 10us -1m 1d 2w 0 1h0.5s 9223372036s
words cron 'AAAA*/5 * * * *' 'AAAA0 9 * * 1-5' 'AAAA@hourly' 'AAAA0 0 29 2 *' 'AAAA0 0 31 4,6 *' 'AAAA1,2,3 1-5/2 * JAN,MAR MON'
words formula 't' 't * 2 + 1' 'max([t, 3])' 't > 3 ? 1 : 0' 't ?? 5' 'len(filter([t, 1], # > 2))' 'let x = t; x ** 2' '"a" matches "b+"' 'count([1, 2], {# > 1})'
words trace 'Atime,n,x
0,1,2
1,5,3
2,0,4
' 'Btime
2023-11-16 18:15:46.6805900
2023-11-16 18:15:48
' 'Ct,n
0,1e3
0,2
5,7
'
# Names of fields and values, for -dict.
grep -ohE '`[A-Za-z][A-Za-z0-9./-]{2,40}`' docs/scenario-reference.md docs/lints.md | tr -d '`' | sort -u | sed 's/.*/"&"/' > fuzz/corpus/words.dict
