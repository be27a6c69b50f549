"""What Commonweal exports, in PyTorch. Needs torch and the program, by its path in the variable COMMONWEAL:

    COMMONWEAL=target/release/commonweal python3 -m unittest discover -s python/tests -p test_export.py
"""

import csv
import gzip
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch

from parent import PYTHON, cw

ROOT = PYTHON.parent
ROWS = 100


class Export(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def commonweal(self, *arguments):
        """The events of a command, the last one last."""
        command = [os.path.abspath(os.environ["COMMONWEAL"]), "--runs-dir", self.folder / "runs", "--json", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def simulate(self, *arguments):
        finished = self.commonweal("simulate", *arguments)[-1]
        self.assertEqual(finished["event"], "finished")
        return finished

    def digits(self):
        rows = gzip.open(ROOT / "crates/commonweal-data/embedded/digits.csv.gz", "rt").read()
        return np.array([line.split(",") for line in rows.split()[:ROWS]], np.float32)

    def test_the_exported_module_loads_strictly_and_predicts_the_same(self):
        finished = self.simulate("--set", "rounds=3", "--seeds", "1")
        run = pathlib.Path(finished["model"]).parent
        exported = self.commonweal("export", run, "--output", self.folder / "torch")[-1]
        spec = importlib.util.spec_from_file_location("model", exported["module"])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        tensors = cw._tensors(bytearray(pathlib.Path(finished["model"]).read_bytes()))
        module.Model().load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()},
                                       strict=True)

        digits = self.digits()
        with torch.no_grad():
            pixels = torch.from_numpy(digits[:, :64] / 16).reshape(-1, 1, 8, 8)
            scores = torch.softmax(module.load()(pixels), dim=1).numpy()
        predicted = self.commonweal("predict", run, "--rows", "0-%d" % (ROWS - 1))[-1]["csv"]
        rows = list(csv.DictReader(io.StringIO(predicted)))
        self.assertEqual([row["label"] for row in rows], ["%d" % label for label in digits[:, 64]])
        self.assertEqual([row["prediction"] for row in rows], ["%d" % best for best in scores.argmax(axis=1)])
        ours = np.array([[row["score_%d" % label] for label in range(10)] for row in rows], np.float32)
        np.testing.assert_allclose(ours, scores, atol=1e-5)

    def test_a_model_that_worker_processes_declared_and_trained_loads_into_its_own_module(self):
        command = "simulation.trainers.batch-norm.command=%s" % json.dumps([sys.executable, "batch_norm.py"])
        finished = self.simulate(ROOT / "examples/pytorch/digits.toml", "--set", "rounds=2", "--set", command)
        self.assertGreater(finished["accuracy"], 0.5)
        source = (ROOT / "examples/pytorch/batch_norm.py").read_text()
        names = {}
        exec(source.split("\nnet = ")[0], names)
        tensors = cw._tensors(bytearray(pathlib.Path(finished["model"]).read_bytes()))
        state = {name: torch.from_numpy(values) for name, values in tensors.items()}
        names["build"]().load_state_dict(state, strict=True)
        self.assertEqual(state["2.num_batches_tracked"].dtype, torch.int64)
        self.assertEqual(state["2.num_batches_tracked"], 0)


if __name__ == "__main__":
    unittest.main()
