"""The Python module against its protocol. Needs NumPy alone: python3 -m unittest discover -s python/tests -p test_worker.py"""

import unittest

import numpy as np

from parent import PYTHON, Parent, cw

ADD_ONE = """
    import commonweal_worker as cw
    def train(client, model, plan, state):
        for rows in plan.batches(client.train):
            model["w"] += len(rows)
        return cw.Update(model, loss=0.25, state={"rounds": state.get("rounds", 0) + 1.0})
    cw.run(train=train)
"""


class Training(unittest.TestCase):
    def test_arrays_are_changed_in_place_and_the_state_comes_back(self):
        with Parent(ADD_ONE) as parent:
            self.assertEqual(parent.hello["capabilities"], ["train"])
            header, tensors = parent.answer("train", model={"w": np.zeros((1, 2), np.float32)})
            self.assertEqual((header["type"], header["steps"], header["loss"], header["examples"]),
                             ("update", 2, 0.25, 3))
            self.assertEqual(tensors["model.w"].tolist(), [[3, 3]])
            state = {"rounds": tensors["state.rounds"]}
            _, tensors = parent.answer("train", model={"w": np.zeros(1, np.float32)}, state=state)
            self.assertEqual(tensors["state.rounds"], 2)

    def test_what_user_code_prints_does_not_reach_the_pipe(self):
        noisy = 'import os, commonweal_worker as cw\nprint("a")\nos.write(1, b"b\\n")\nos.system("echo c")\n'
        with Parent(noisy + 'input_ = open(0).read()\ncw.run(train=print)') as parent:
            self.assertEqual(parent.hello["type"], "hello")
        self.assertEqual(parent.stderr.split(), ["a", "b", "c"])

    def test_large_bodies_go_through_files_in_both_directions(self):
        with Parent(ADD_ONE, map_above_bytes=100) as parent:
            model = {"w": np.zeros(1000, np.float32)}
            for file in ["one", "one", None]:
                header, tensors = parent.answer("train", model=model, file=file)
                self.assertIn("file", header)
                self.assertEqual(tensors["model.w"].sum(), 3000)

    def test_failing_code_is_named_by_its_line_and_the_process_goes_on(self):
        code = """
            import commonweal_worker as cw
            def train(client, model, plan, state):
                return cw.Update({"w": model["w"] / state["missing"]})
            cw.run(train=train)
        """
        with Parent(code) as parent:
            for _ in range(2):
                header, _ = parent.answer("train", model={"w": np.zeros(1, np.float32)})
                self.assertEqual((header["type"], header["code"]), ("error", "failed"))
                self.assertRegex(header["text"], r"train\.py:4: KeyError: 'missing'")
        self.assertIn("Traceback", parent.stderr)

    def test_a_loss_that_is_no_number_is_a_divergence(self):
        code = ADD_ONE.replace("0.25", "float('nan')")
        with Parent(code) as parent:
            header, _ = parent.answer("train", model={"w": np.zeros(1, np.float32)})
            self.assertEqual((header["code"], header["step"]), ("diverged", 2))

    def test_a_cancel_ends_the_batches(self):
        code = ADD_ONE.replace('model["w"] += len(rows)', "import time; time.sleep(0.01)")
        with Parent(code) as parent:
            parent.ask("train", model={"w": np.zeros(1, np.float32)}, epochs=10**9)
            progress, _ = parent.receive(skip=("heartbeat",))
            self.assertEqual((progress["type"], progress["total"]), ("progress", 2 * 10**9))
            parent.send({"type": "cancel", "id": parent.id})
            self.assertEqual(parent.receive()[0]["code"], "cancelled")

    def test_the_end_of_the_pipe_ends_a_process_that_never_returns(self):
        code = ADD_ONE.replace('model["w"] += len(rows)', "\n            while True: pass")
        with Parent(code) as parent:
            parent.ask("train", model={"w": np.zeros(1, np.float32)})
        self.assertEqual(parent.process.returncode, 0)

    def test_heartbeats_come_while_user_code_runs(self):
        code = ADD_ONE.replace('model["w"] += len(rows)', "\n            while True: pass")
        with Parent(code) as parent:
            parent.ask("train", model={"w": np.zeros(1, np.float32)})
            self.assertEqual(parent.receive(skip=("progress",))[0]["type"], "heartbeat")


class Documentation(unittest.TestCase):
    def test_the_first_program_of_the_documentation_trains(self):
        text = (PYTHON.parent / "docs" / "writing-a-trainer.md").read_text()
        code = text.split("```python\n")[1].split("```")[0]
        data = {"features": np.ones((8, 2), np.float32), "values": np.ones(8, np.float32)}
        model = {"weight": np.zeros((1, 2), np.float32), "bias": np.zeros(1, np.float32)}
        with Parent(code, data=data) as parent:
            header, tensors = parent.answer("train", model=model, batch_size=3)
            self.assertEqual((header["type"], header["loss"]), ("update", 1.0))
            self.assertEqual(tensors["model.weight"].tolist(), [[0.5, 0.5]])


class Plans(unittest.TestCase):
    def plan(self, **changes):
        header = dict({"epochs": 1, "steps": None, "batch_size": 2, "learning_rate": 0.1, "optimizer": {},
                       "seed": "07"}, **changes)
        return cw.Plan(header, {})

    def batches(self, rows, **changes):
        class Silent:
            def progress(self, done, total):
                pass
        cw._pipe = Silent()
        try:
            return [block.tolist() for block in self.plan(**changes).batches(np.array(rows))]
        finally:
            cw._pipe = None

    def test_an_epoch_holds_every_row_once_in_an_order_that_follows_from_the_seed(self):
        first, again = self.batches(range(7)), self.batches(range(7))
        self.assertEqual(first, again)
        self.assertEqual([len(batch) for batch in first], [2, 2, 2, 1])
        self.assertEqual(sorted(sum(first, [])), list(range(7)))
        self.assertNotEqual(first, self.batches(range(7), seed="08"))

    def test_steps_go_on_with_a_new_epoch_and_stop_in_the_middle(self):
        batches = self.batches([1, 2, 3], steps=5)
        self.assertEqual([len(batch) for batch in batches], [2, 1, 2, 1, 2])

    def test_no_batch_size_means_all_rows(self):
        self.assertEqual([sorted(batch) for batch in self.batches([3, 1], batch_size=None, epochs=2)],
                         [[1, 3], [1, 3]])


class Tensors(unittest.TestCase):
    def round_trip(self, tensors):
        return cw._tensors(bytearray(b"".join(bytes(piece) for piece in cw._archive(tensors))))

    def test_all_kinds_and_shapes_survive_with_every_array_aligned(self):
        tensors = {
            "odd": np.arange(3, dtype=np.uint8), "scalar": np.float32(1.5), "empty": np.empty((0, 2), np.int16),
            "strided": np.arange(12, dtype=np.float64).reshape(3, 4)[:, ::2], "flags": np.array([True, False]),
        }
        found = self.round_trip(tensors)
        for name, array in tensors.items():
            np.testing.assert_array_equal(found[name], array)
            self.assertEqual(found[name].dtype, np.asarray(array).dtype)
            self.assertTrue(found[name].flags.aligned and found[name].flags.writeable, name)

    def test_an_array_that_cannot_travel_is_named(self):
        with self.assertRaisesRegex(TypeError, "'words'"):
            self.round_trip({"words": np.array(["a"])})


class Measurements(unittest.TestCase):
    def test_two_classes_have_losses_predictions_and_scores(self):
        found = cw.classified([[0.0, 0.0], [0.0, np.log(3.0)]], [1, 0])
        np.testing.assert_allclose(found["loss"], [np.log(2), np.log(4)])
        np.testing.assert_allclose(found["score"], [0.5, 0.75])
        self.assertEqual(found["predicted"].tolist(), [0, 1])

    def test_numbers_have_squared_errors(self):
        self.assertEqual(cw.regressed([[1.0], [2.0]], [1.0, 4.0])["loss"].tolist(), [0.0, 4.0])

    def test_an_evaluation_answers_with_what_was_measured(self):
        code = """
            import commonweal_worker as cw
            def evaluate(client, model, state):
                return cw.classified(cw.dataset().features(client.test), cw.dataset().targets(client.test))
            cw.run(evaluate=evaluate)
        """
        data = {"features": np.array([[0, 0], [0, 4]], np.uint8), "labels": np.array([0, 1]),
                "features_scale": np.array([0.5, 0.5], np.float32), "features_offset": np.zeros(2, np.float32)}
        with Parent(code, data=data) as parent:
            header, tensors = parent.answer("evaluate", rows=[1])
            self.assertEqual(header["type"], "metrics")
            np.testing.assert_allclose(tensors["score"], [1 / (1 + np.exp(-2.0))])


if __name__ == "__main__":
    unittest.main()
