"""Checks the event stream of the embedded job: versioned, finished last, an accuracy that shows learning."""

import json
import pathlib
import sys

events = [json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]
assert events, "no event was printed"
assert all(event["v"] == 1 for event in events), "an event without its version"
last = events[-1]
assert last["event"] == "finished", f"the last event is {last['event']}, not finished"
assert last["accuracy"] > 0.95, f"accuracy {last['accuracy']} shows no learning"
assert pathlib.Path(last["model"]).is_file(), f"no model at {last['model']}"
assert last["digest"].startswith("sha256:"), last["digest"]
print(f"accuracy {last['accuracy']:.4f} in {last['seconds']:.1f} s, {last['digest']}")
