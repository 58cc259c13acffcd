#!/usr/bin/env python3
"""Plays the same random operations against moto's SQS and against forescale's queue model, and compares every answer.

Usage: compare.py [--operations 10000] [--seed 1] [--fifo] [--replay target/debug/examples/sqs_replay]
"""

import argparse
import json
import os
import random
import subprocess
import sys
from unittest import mock

os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1")

import boto3
from moto import mock_aws

START = 1_700_000_000.0
# moto hands out a FIFO group out of order once two of its messages have timed out, and fills a batch in the order of sends: with
# FIFO queues nothing times out and receives take one message.
VISIBILITY = {False: 30, True: 40_000}
# A message of a standard queue goes to the dead-letter queue instead of being received once more. (In FIFO queues nothing times out.)
MAX_RECEIVE_COUNT = 3


class Clock:
    """The time that moto believes in."""

    def __init__(self):
        self.seconds = 0.0

    def unix_time(self, *_):
        return START + self.seconds

    def unix_time_millis(self, *_):
        return self.unix_time() * 1000.0


class Moto:
    def __init__(self, fifo):
        self.client = boto3.client("sqs", region_name="us-east-1")
        name = "q.fifo" if fifo else "q"
        attributes = {"VisibilityTimeout": str(VISIBILITY[fifo])}
        self.dead_letters = None
        if fifo:
            attributes.update(FifoQueue="true")
        else:
            self.dead_letters = self.client.create_queue(QueueName="q-dlq")["QueueUrl"]
            names = ["QueueArn"]
            arn = self.client.get_queue_attributes(QueueUrl=self.dead_letters, AttributeNames=names)["Attributes"]["QueueArn"]
            policy = {"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVE_COUNT}
            attributes.update(RedrivePolicy=json.dumps(policy))
        self.url = self.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.fifo = fifo
        self.handles = {}

    def play(self, op):
        kind = op["op"]
        if kind == "send":
            extra = {"MessageGroupId": str(op["group"]), "MessageDeduplicationId": op["id"]} if self.fifo else {}
            if op.get("delay"):
                extra["DelaySeconds"] = op["delay"]
            self.client.send_message(QueueUrl=self.url, MessageBody=op["id"], **extra)
            return {"ok": True}
        if kind == "receive":
            answer = self.client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=op["max"],
                WaitTimeSeconds=0,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
            messages = answer.get("Messages", [])
            for message in messages:
                self.handles[message["Body"]] = message["ReceiptHandle"]
            counts = [int(message["Attributes"]["ApproximateReceiveCount"]) for message in messages]
            return {"ok": True, "ids": [message["Body"] for message in messages], "counts": counts}
        if kind == "counts":
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
            attributes = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
            visible, in_flight, delayed = (int(attributes[name]) for name in names)
            dead = 0
            if self.dead_letters:
                attributes = self.client.get_queue_attributes(QueueUrl=self.dead_letters, AttributeNames=names[:1])["Attributes"]
                dead = int(attributes[names[0]])
            return {"visible": visible, "in_flight": in_flight, "delayed": delayed, "dead_lettered": dead}
        handle = self.handles[op["id"]]
        if kind == "delete":
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=handle)
        else:
            self.client.change_message_visibility(QueueUrl=self.url, ReceiptHandle=handle, VisibilityTimeout=op["timeout"])
        return {"ok": True}


def operations(count, seed, fifo, moto, clock):
    """Draws operations one by one (what can be deleted hangs on what was received) and plays them against moto."""
    random.seed(seed)
    out = []
    deadlines = {}
    sent = 0
    for _ in range(count):
        # Odd milliseconds keep timers and calls apart: at equal instants the two have no common rule.
        clock.seconds = round(clock.seconds + random.choice([0.003, 0.101, 1.007, 7.013]), 3)
        held = [name for name, deadline in deadlines.items() if deadline > clock.seconds]
        kind = random.choices(["send", "receive", "delete", "change", "counts"], [30, 25, 20, 5 if not fifo else 0, 20])[0]
        if kind in ("delete", "change") and not held:
            kind = "counts"
        op = {"t": clock.seconds, "op": kind}
        if kind == "send":
            sent += 1
            op["id"] = f"m{sent}"
            if fifo:
                op["group"] = random.randrange(5)
            elif random.random() < 0.2:
                op["delay"] = random.randrange(1, 60)
        elif kind == "receive":
            op["max"] = 1 if fifo else random.choice([1, 1, 3, 10])
        elif kind == "delete":
            op["id"] = random.choice(held)
            del deadlines[op["id"]]
        elif kind == "change":
            op["id"] = random.choice(held)
            op["timeout"] = random.choice([0, 5, 90])
            deadlines[op["id"]] = clock.seconds + op["timeout"]
        answer = moto.play(op)
        for name in answer.get("ids", []):
            deadlines[name] = clock.seconds + VISIBILITY[fifo]
        out.append((op, answer))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fifo", action="store_true")
    parser.add_argument("--replay", default="target/debug/examples/sqs_replay")
    arguments = parser.parse_args()
    clock = Clock()
    with (
        mock_aws(),
        mock.patch("moto.sqs.models.unix_time", clock.unix_time),
        mock.patch("moto.sqs.models.unix_time_millis", clock.unix_time_millis),
    ):
        played = operations(arguments.operations, arguments.seed, arguments.fifo, Moto(arguments.fifo), clock)
    queue = {
        "name": "q.fifo" if arguments.fifo else "q",
        "service": "moto",
        "fifo": arguments.fifo,
        "visibilityTimeout": f"{VISIBILITY[arguments.fifo]}s",
    }
    if not arguments.fifo:
        queue["maxReceiveCount"] = MAX_RECEIVE_COUNT
    lines = [json.dumps(queue)] + [json.dumps(op) for op, _ in played]
    run = subprocess.run([arguments.replay], input="\n".join(lines), capture_output=True, text=True, check=True)
    differences = 0
    for (op, expected), line in zip(played, run.stdout.splitlines(), strict=True):
        got = json.loads(line)
        if got != expected:
            differences += 1
            if differences <= 10:
                print(f"{json.dumps(op)}\n  moto      {json.dumps(expected)}\n  forescale {json.dumps(got)}")
    received = sum(len(answer.get("ids", [])) for _, answer in played)
    dead = max(answer.get("dead_lettered", 0) for _, answer in played)
    print(f"{len(played)} operations, {received} deliveries, {dead} dead-lettered: {differences} answers differ")
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
