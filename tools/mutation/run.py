#!/usr/bin/env python3
"""Mutation testing with all mutants in one build (docs/mutation.md).

`cargo mutants` builds the package once for each mutant, which takes hours here. This asks it for its list of mutants, writes each function as
a choice between its mutated bodies by the variable FORESCALE_MUTANT, builds that once, and runs the tests once for each mutant.

    python3 tools/mutation/run.py [--folders hpa,keda,karpenter,sqs] [--only TEXT] [--every N] [--from N] [--missed] [--jobs N] [--build-only | --no-build]

Results: output/mutation/results.tsv (mutant, outcome, by which test) and a table per file on the screen.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "output" / "mutation"
TREE = OUTPUT / "tree"
RESULTS = OUTPUT / "results.tsv"
BUILT = OUTPUT / "built.json"
FOLDERS = ["hpa", "keda", "karpenter", "sqs"]
GOLDEN = ["golden", "front-page", "two-layer", "aws-sample", "scale-to-zero", "problems/06-empty-nodes-held", "problems/13-flapping"]
# Quick tests with their arguments, in the order in which they run; the first that fails catches the mutant.
TESTS = {
    "hpa": [["hpa_vectors"], ["lib", "hpa::"], ["hpa_trajectories"], ["recorded_hpa"], ["keda_and_hpa"], GOLDEN],
    "keda": [["keda_vectors"], ["lib", "keda::"], ["keda_loops"], ["recorded_keda"], ["keda_and_hpa"]],
    "karpenter": [["karpenter_view"], ["provisioning_vectors"], ["lib", "karpenter::"], ["lifecycle_vectors"], ["disruption_vectors"]],
    "sqs": [["lib", "sqs::"], ["consumers"], ["sqs_service"], ["sqs_reference"], ["sqs_vectors"]],
}
# For what those miss: vectors and unit tests that were added for it, and slower tests.
VECTORS = {
    "hpa": [["hpa_vectors"], ["lib", "hpa::"]],
    "keda": [["keda_vectors"], ["lib", "keda::"], ["keda_loops"]],
    "karpenter": [["karpenter_view"], ["provisioning_vectors"], ["lib", "karpenter::"], ["lifecycle_vectors"], ["disruption_vectors"]],
    "sqs": [["lib", "sqs::"], ["sqs_service"], ["sqs_reference"], ["sqs_vectors"]],
}
SLOW_TESTS = {
    "hpa": [["hpa_metrics"], ["golden", "problems/12-ramp", "problems/30-dead-band", "problems/31-metric-outage"]],
    "keda": [
        ["control_faults"],
        ["pod_faults"],
        GOLDEN,
        ["golden", "problems/14-scaled-job-storm", "problems/31-metric-outage", "problems/32-fleet-of-scaled-objects"],
    ],
    "karpenter": [
        ["points"],
        ["volumes"],
        ["consolidation_upstream"],
        ["node_features"],
        ["provisioning_upstream"],
        ["reservations"],
        ["provisioning_recorded"],
        ["consolidation_recorded"],
        ["drift"],
        ["control_faults"],
        GOLDEN,
        ["golden", "problems/03-underutilised-churn", "problems/18-spot-interruption", "problems/24-everything-expires-at-once"],
    ],
    "sqs": [
        ["sqs_properties"],
        ["pod_faults"],
        GOLDEN,
        ["golden", "problems/10-in-flight", "problems/22-hours-long-messages"],
    ],
}
SELECTOR = """
/// The number of the mutant that runs, 0 without one.
pub fn mutant() -> u32 {
    static NUMBER: std::sync::LazyLock<u32> =
        std::sync::LazyLock::new(|| std::env::var("FORESCALE_MUTANT").map_or(0, |text| text.parse().unwrap_or(0)));
    *NUMBER
}
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folders", default=",".join(FOLDERS))
    parser.add_argument("--only", default="", help="only mutants whose name contains this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="only each so many-th mutant")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them, from 0")
    parser.add_argument("--missed", action="store_true", help="what former runs missed, by the vectors as they are now and by slower tests")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--no-build", action="store_true", help="use the tree and the programs of the last build")
    arguments = parser.parse_args()
    os.environ.update(PROPTEST_RNG_SEED="1", PROPTEST_MAX_SHRINK_ITERS="0")
    former = json.loads(BUILT.read_text()) if BUILT.exists() else {"mutants": []}
    if arguments.no_build:
        built = former
    else:
        built = build(arguments.folders.split(","), former["mutants"])
        carry_over(former["mutants"], built["mutants"])
        BUILT.write_text(json.dumps(built))
    if not arguments.build_only:
        wanted = [mutant for mutant in built["mutants"] if arguments.only in mutant["name"]]
        wanted = wanted[arguments.first :: arguments.every]
        if arguments.missed:
            known = results()
            wanted = [mutant for mutant in wanted if known.get(mutant["name"], ("",))[0] == "missed"]
            TESTS.update({folder: VECTORS[folder] + SLOW_TESTS[folder] for folder in TESTS})
        run_all(wanted, TESTS, built["programs"], arguments.jobs)
        table(results())


def build(folders, former):
    """The mutants with their numbers, and the programs of the tests."""
    copy_tree()
    mutants = listed(folders)
    before = dict(zip(identities(former), former))
    known = {mutant["number"]: before[key]["outcome"] for key, mutant in zip(identities(mutants), mutants) if key in before}
    dropped = {number: outcome for number, outcome in known.items() if outcome}
    while True:
        places = write(mutants, dropped)
        errors = compile_errors()
        if not errors:
            break
        found = {number: outcome for error in errors for number, outcome in blamed(error, places)}
        found = {number: outcome for number, outcome in found.items() if number not in dropped}
        if not found:
            raise SystemExit("the tree does not build:\n" + "\n".join(error["rendered"] for error in errors[:5]))
        dropped.update(found)
        print(f"{len(found)} mutants do not compile", flush=True)
    for mutant in mutants:
        mutant["outcome"] = dropped.get(mutant["number"], "")
    names = sorted({test[0] for folder in folders for test in TESTS[folder] + SLOW_TESTS[folder]})
    return {"mutants": mutants, "programs": programs(names)}


def identities(mutants):
    """What a mutant is called when lines move: its file, what it does, and which of several alike in the file it is."""
    seen = collections.Counter()
    for mutant in mutants:
        file, _, _, change = mutant["name"].split(":", 3)
        seen[file, change] += 1
        yield file, change, seen[file, change]


def carry_over(former, mutants):
    """Gives former results the names that their mutants have now; those of mutants that are gone go."""
    now = {key: mutant["name"] for key, mutant in zip(identities(mutants), mutants)}
    names = {mutant["name"]: now[key] for key, mutant in zip(identities(former), former) if key in now}
    known = results() if RESULTS.exists() else {}
    lines = ["\t".join([names[name], *outcome]) + "\n" for name, outcome in known.items() if name in names]
    RESULTS.write_text("".join(lines))


def copy_tree():
    """The files of the package, without the build folder of a former run."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    TREE.mkdir(parents=True, exist_ok=True)
    for name in files.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)
    lib = TREE / "src/lib.rs"
    lib.write_text("#![allow(arithmetic_overflow, unconditional_panic)]\n" + lib.read_text() + SELECTOR)


def listed(folders):
    """What `cargo mutants` would do to a function; what it would do elsewhere cannot be chosen while running."""
    command = ["cargo", "mutants", "--list", "--json"]
    everything = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    wanted = [mutant for mutant in everything if folder_of(mutant["file"]) in folders]
    for number, mutant in enumerate(wanted, 1):
        mutant["number"] = number
        mutant["name"] = mutant["name"].replace("\n", " ")
        del mutant["diff"]
    return wanted


def folder_of(file):
    return re.match(r"src/(\w+)", file).group(1)


class Text:
    """A source file whose places are given as lines and columns in characters."""

    def __init__(self, text):
        self.text = text
        self.lines = [0]
        for line in text.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def offset(self, place):
        return self.lines[place["line"] - 1] + place["column"] - 1

    def range(self, span):
        return self.offset(span["start"]), self.offset(span["end"])


def write(mutants, dropped):
    """Writes the functions with their bodies to choose from. Gives the lines of each body in each file."""
    places = {}
    of_file = collections.defaultdict(list)
    for mutant in mutants:
        of_file[mutant["file"]].append(mutant)
    for file, those in of_file.items():
        source = Text((ROOT / file).read_text())
        functions = collections.defaultdict(list)
        for mutant in those:
            if mutant["function"] is None:
                dropped.setdefault(mutant["number"], "outside")
            elif mutant["number"] not in dropped:
                functions[source.range(mutant["function"]["span"])].append(mutant)
        text, where = file_text(source, outermost(functions))
        places[file] = where
        if not (TREE / file).exists() or (TREE / file).read_text() != text:
            (TREE / file).write_text(text)
    return places


def outermost(functions):
    """Functions in order; those within others belong to these."""
    result = []
    for span in sorted(functions, key=lambda span: (span[0], -span[1])):
        if result and span[1] <= result[-1][0][1]:
            result[-1][1].extend(functions[span])
        else:
            result.append((span, list(functions[span])))
    return result


def file_text(source, functions):
    """The new text, and (first line, last line, numbers, whether a single body) of each body and each function."""
    parts, at, line, where = [], 0, 1, []

    def add(text):
        nonlocal line
        parts.append(text)
        line += text.count("\n")

    for (start, end), mutants in functions:
        begin = body_start(source.text, start)
        add(source.text[at:begin])
        first = line
        add("{ match crate::mutant() {\n")
        for mutant in mutants:
            low, high = source.range(mutant["span"])
            body = source.text[begin:low] + mutant["replacement"] + source.text[high:end]
            from_line = line
            add(f"{mutant['number']}u32 => {body},\n")
            where.append((from_line, line - 1, [mutant["number"]], True))
        add("_ => " + source.text[begin:end] + "\n} }")
        where.append((first, line, [mutant["number"] for mutant in mutants], False))
        at = end
    add(source.text[at:])
    return "".join(parts), where


def body_start(text, start):
    """The brace that opens the body of the function at `start`."""
    return text.index("{", re.compile(r"\bfn\s+\w+").search(text, start).end())


def compile_errors():
    command = ["cargo", "check", "--profile", "mutants", "--lib", "--message-format=json"]
    result = subprocess.run(command, cwd=TREE, capture_output=True, text=True)
    messages = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    errors = [message["message"] for message in messages if message["reason"] == "compiler-message"]
    errors = [error for error in errors if error["level"] == "error" and error["spans"]]
    if result.returncode != 0 and not errors:
        raise SystemExit(result.stderr)
    return errors


def blamed(error, places):
    """Mutants that an error is about, each with `unviable`; if it is about the choice itself, all of the function, with `outside`."""
    for span in sorted(error["spans"], key=lambda span: not span["is_primary"]):
        lines = places.get(span["file_name"], [])
        within = [place for place in lines if place[0] <= span["line_start"] <= place[1]]
        for single in (True, False):
            numbers = [number for place in within if place[3] == single for number in place[2]]
            if numbers:
                return [(number, "unviable" if single else "outside") for number in numbers]
    return []


def programs(names):
    targets = [part for name in names for part in (["--lib"] if name == "lib" else ["--test", name])]
    command = ["cargo", "test", "--profile", "mutants", "--no-run", "--message-format=json", *targets]
    result = subprocess.run(command, cwd=TREE, stdout=subprocess.PIPE, text=True, check=True)
    found = {}
    for message in (json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")):
        if message["reason"] == "compiler-artifact" and message["executable"]:
            found["lib" if "lib" in message["target"]["kind"] else message["target"]["name"]] = message["executable"]
    return {name: found[name] for name in names}


def run_all(mutants, tests, programs, jobs):
    usual = {}
    for folder in sorted({folder_of(mutant["file"]) for mutant in mutants}):
        for test in tests[folder]:
            start = time.monotonic()
            if run_one(programs, test, 0, 600) != "passed":
                raise SystemExit(f"{test} fails without a mutant")
            usual[folder, test[0]] = time.monotonic() - start

    def judge(mutant):
        if mutant["outcome"]:
            return mutant, mutant["outcome"], ""
        folder = folder_of(mutant["file"])
        for test in tests[folder]:
            outcome = run_one(programs, test, mutant["number"], 20 + 10 * usual[folder, test[0]])
            if outcome != "passed":
                return mutant, outcome, test[0]
        return mutant, "missed", ""

    with open(RESULTS, "a") as out, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(judge, mutant) for mutant in mutants]):
            mutant, outcome, test = done.result()
            out.write("\t".join([mutant["name"], outcome, test]) + "\n")
            out.flush()


def run_one(programs, test, number, limit):
    environment = {**os.environ, "FORESCALE_MUTANT": str(number)}
    command = [programs[test[0]], *test[1:]]
    nothing = subprocess.DEVNULL
    try:
        code = subprocess.run(command, cwd=TREE, env=environment, stdout=nothing, stderr=nothing, timeout=limit).returncode
    except subprocess.TimeoutExpired:
        return "timeout"
    return "passed" if code == 0 else "caught"


def results():
    """The outcome of each mutant that ran, and by which test: its last line in the file."""
    lines = [line.split("\t") for line in RESULTS.read_text().splitlines()]
    return {name: (outcome, test) for name, outcome, test in lines}


def table(outcomes):
    """Counts per file: how many of those that run are caught (a run without end is one too), and how many of them by more than `golden`."""
    rows = collections.defaultdict(collections.Counter)
    for name, (outcome, test) in outcomes.items():
        file = name.split(":")[0]
        for key in (file, f"all of src/{folder_of(file)}", "all"):
            rows[key]["golden" if outcome == "caught" and test == "golden" else outcome] += 1
    columns = ["caught", "golden", "timeout", "missed", "unviable", "outside"]
    print(f"{'file':45} " + " ".join(f"{column:>8}" for column in columns) + "    share")
    for key in sorted(rows, key=lambda key: (key.startswith("all"), key)):
        row = rows[key]
        ran = sum(row[column] for column in columns[:4])
        share = f"{100 * (ran - row['missed']) / ran:7.1f} %" if ran else ""
        print(f"{key:45} " + " ".join(f"{row[column]:8}" for column in columns) + share)


if __name__ == "__main__":
    main()
