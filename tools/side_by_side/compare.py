#!/usr/bin/env python3
"""M/M/10 at load 0.8 in SimPy, Ciw and forescale, one after the other, and what queueing theory says (README.md)."""

import argparse
import json
import pathlib
import random
import resource
import subprocess
import tempfile
import time

import ciw
import simpy

HERE = pathlib.Path(__file__).parent
ARRIVALS, SERVICE, SERVERS = 8.0, 1.0, 10


def erlang_c():
    """Mean wait in seconds: C(c, a) / (c mu - lambda)."""
    load = ARRIVALS / SERVICE
    term = total = 1.0
    for k in range(1, SERVERS):
        term *= load / k
        total += term
    last = term * load / SERVERS / (1 - load / SERVERS)
    return last / (total + last) / (SERVERS * SERVICE - ARRIVALS)


def with_simpy(messages, seed):
    """A process for each message, a resource for the servers: as in SimPy's documentation."""
    stream = random.Random(seed)
    environment = simpy.Environment()
    servers = simpy.Resource(environment, SERVERS)
    total = 0.0

    def message():
        nonlocal total
        arrived = environment.now
        with servers.request() as request:
            yield request
            total += environment.now - arrived
            yield environment.timeout(stream.expovariate(SERVICE))

    def source():
        for _ in range(messages):
            yield environment.timeout(stream.expovariate(ARRIVALS))
            environment.process(message())

    environment.process(source())
    start = time.process_time()
    environment.run()
    return messages, total / messages, time.process_time() - start


def with_ciw(messages, seed):
    ciw.seed(seed)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(ARRIVALS)],
        service_distributions=[ciw.dists.Exponential(SERVICE)],
        number_of_servers=[SERVERS],
    )
    simulation = ciw.Simulation(network)
    start = time.process_time()
    simulation.simulate_until_max_customers(messages, method="Finish")
    seconds = time.process_time() - start
    waits = [record.waiting_time for record in simulation.get_all_records()]
    return len(waits), sum(waits) / len(waits), seconds


def with_forescale(program, messages, seed):
    """The whole program: it reads the scenario, runs the cluster beside the queue, and writes its results."""
    duration = f"{3600 + messages / ARRIVALS:.0f}s"
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "run", HERE / "mm10.toml", "--seed", str(seed), "--duration", duration, "--out", folder]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = json.loads((pathlib.Path(folder) / "summary.json").read_text())
    messages = summary["messages"]
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return messages["processed"], messages["wait"]["mean_s"], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--forescale", default="target/release/forescale")
    arguments = parser.parse_args()
    messages, seed = arguments.messages, arguments.seed
    print(f"{'':12} {'messages':>10} {'mean wait':>12} {'ns/message':>12} {'messages/s':>14}")
    print(f"{'Erlang C':12} {'':>10} {erlang_c():10.4f} s")
    for name, run in [
        ("forescale", lambda: with_forescale(arguments.forescale, messages, seed)),
        (f"SimPy {simpy.__version__}", lambda: with_simpy(messages, seed)),
        (f"Ciw {ciw.__version__}", lambda: with_ciw(messages, seed)),
    ]:
        count, wait, seconds = run()
        print(f"{name:12} {count:10} {wait:10.4f} s {seconds / count * 1e9:12.0f} {count / seconds:14,.0f}", flush=True)


if __name__ == "__main__":
    main()
