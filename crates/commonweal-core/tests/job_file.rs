//! The job file from outside: what it means, what is refused and in which words.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use commonweal_core::MetricKind;
use commonweal_core::job::*;

/// The example of the documentation.
const EXAMPLE: &str = r#"
name = "mnist-2nn"
rounds = 50
seed = 1
[data]
name = "mnist"
[simulation]                 # used by `simulate` and `up`; a real deployment ignores it, and says so
clients = 100
partition = { kind = "dirichlet", alpha = 0.3 }
baselines = ["local", "pooled"]
seeds = 3                    # mean and deviation over seeds
[model]
kind = "mlp"
hidden = [200, 200]          # init = "file.safetensors" continues from a model
[training]
epochs = 1
batch_size = 10
optimizer = { kind = "sgd", learning_rate = 0.1 }
[cohort]
fraction = 0.1               # or target = 10
minimum = 8
[strategy]
kind = "fed_avg"
[evaluation]
every = 5
metrics = ["loss", "accuracy"]   # integer sums of the clients' evaluate tasks
[stop]
metric = "accuracy"
at_least = 0.97
"#;

const SMALL: &str = "name = \"a\"\nrounds = 1\ndata.name = \"digits\"\nmodel.kind = \"softmax\"\n";

fn faults(text: &str) -> Vec<String> {
    Job::parse(text)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The one fault of the small job with `line` as its fifth line.
fn fault(line: &str) -> String {
    let mut faults = faults(&format!("{SMALL}{line}\n"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn small_with(lines: &str) -> Job {
    Job::parse(&format!("{SMALL}{lines}")).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn the_example_means_what_it_says() {
    let job = Job::parse(EXAMPLE).unwrap();
    assert_eq!(
        (job.name.as_str(), job.rounds, job.seed),
        ("mnist-2nn", 50, 1)
    );
    assert_eq!(job.data.source, DataSource::Name("mnist".to_string()));
    assert_eq!(
        job.simulation.partition,
        Partition::Dirichlet { alpha: 0.3 }
    );
    assert_eq!(
        job.simulation.baselines,
        [Baseline::Local, Baseline::Pooled]
    );
    assert_eq!(
        (job.simulation.clients, job.simulation.seeds),
        (Some(100), 3)
    );
    let hidden = vec![200, 200];
    assert_eq!(
        job.model.kind,
        ModelKind::Mlp {
            hidden,
            activation: Activation::Relu
        }
    );
    assert_eq!(job.training.length, LocalLength::Epochs(1));
    assert_eq!(job.training.batch_size, BatchSize::Rows(10));
    assert_eq!(job.training.optimizer.learning_rate(), 0.1);
    assert_eq!(
        (job.cohort.size, job.cohort.minimum),
        (CohortSize::Fraction(0.1), 8)
    );
    assert_eq!(job.strategy.kind, StrategyKind::FedAvg);
    assert_eq!(
        (job.evaluation.every, job.evaluation.metric),
        (5, MetricKind::Accuracy)
    );
    assert_eq!(job.stop.unwrap().threshold, Some(Threshold::AtLeast(0.97)));
}

#[test]
fn a_small_job_gets_the_documented_defaults() {
    let job = small_with("");
    assert_eq!(job.seed, 1);
    assert_eq!(job.training.length, LocalLength::Epochs(1));
    assert_eq!(job.training.batch_size, BatchSize::Rows(32));
    assert_eq!(job.cohort.size, CohortSize::Fraction(1.0));
    assert_eq!(
        job.simulation.partition,
        Partition::Natural { column: None }
    );
    assert_eq!(
        job.evaluation.metrics,
        [MetricKind::Loss, MetricKind::Accuracy]
    );
    assert_eq!((job.stop, job.expect), (None, None));
}

#[test]
fn the_column_of_a_natural_partition_is_the_client_column() {
    let job = small_with("simulation.partition = { kind = \"natural\", column = \"ward\" }");
    assert_eq!(job.data.client.as_deref(), Some("ward"));
    let two =
        "data.client = \"site\"\nsimulation.partition = { kind = \"natural\", column = \"ward\" }";
    let refused = fault(two);
    assert!(refused.contains("`data.client` is \"site\""), "{refused}");
}

#[test]
fn the_issues_trainer_section_is_accepted() {
    let job = small_with(
        "[training]\ntrainer = \"torch-2nn\"\n[simulation.trainers]\n\
         torch-2nn = { command = [\"python\", \"train.py\"], workers = 2, devices = [] }\n",
    );
    assert_eq!(job.training.trainer, "torch-2nn");
    assert_eq!(
        job.simulation.trainers["torch-2nn"].command,
        ["python", "train.py"]
    );
}

#[test]
fn a_word_stands_for_a_table_of_that_kind() {
    let job = small_with(
        "data.columns = { age = \"numeric\", id = \"drop\" }\ntraining.optimizer = \"adam\"\n\
         training.schedule = \"cosine\"\n",
    );
    assert_eq!(job.training.optimizer.learning_rate(), 0.001);
    assert_eq!(job.training.schedule.decay, Decay::Cosine { end: 0.0 });
    assert_eq!(job.data.columns["id"], Column::Drop);
}

#[test]
fn layers_are_a_list_of_words_and_tables_that_may_nest() {
    let text = SMALL.replace("model.kind = \"softmax\"", "[model]\nkind = \"layers\"")
        + "layers = [\"flatten\", { kind = \"dense\", units = 8 }, \"relu\",\n\
           { kind = \"residual\", layers = [{ kind = \"dense\", units = 8 }, \"tanh\"] }, \"dense\"]";
    let job = Job::parse(&text).unwrap_or_else(|faults| panic!("{faults}"));
    let dense = |units| Layer::Dense { units, bias: true };
    let layers = vec![
        Layer::Flatten,
        dense(Some(8)),
        Layer::Relu,
        Layer::Residual {
            layers: vec![dense(Some(8)), Layer::Tanh],
        },
        dense(None),
    ];
    assert_eq!(job.model.kind, ModelKind::Layers { layers });
}

#[test]
fn unknown_keys_are_told_with_line_column_and_the_nearest_key() {
    let unknown = |line: &str| fault(line);
    assert_eq!(
        unknown("training.epoch = 2"),
        "line 5, column 10: unknown key `training.epoch` (did you mean `epochs`?)"
    );
    assert_eq!(
        unknown("  num_rounds = 2"),
        "line 5, column 3: unknown key `num_rounds` (did you mean `rounds`?)"
    );
    assert_eq!(
        unknown("training.learning_rate = 0.1"),
        "line 5, column 10: unknown key `training.learning_rate` (did you mean \
         `training.optimizer.learning_rate`?)"
    );
    assert_eq!(
        unknown("xyzzy = 1"),
        "line 5, column 1: unknown key `xyzzy`"
    );
}

#[test]
fn unknown_kinds_are_told_with_the_nearest_kind_and_all_kinds() {
    assert_eq!(
        fault("simulation.partition = { kind = \"dirichelt\", alpha = 1 }"),
        "line 5, column 33: `simulation.partition.kind` is \"dirichelt\" (did you mean \
         `dirichlet`?); it must be one of \"iid\", \"dirichlet\", \"dirichlet_quantity\", \
         \"shards\", \"classes\", \"power_law\", \"drawn\", \"natural\""
    );
}

#[test]
fn a_key_of_another_kind_is_told_with_the_kinds_that_have_it() {
    assert_eq!(
        fault("training.optimizer = { kind = \"adam\", momentum = 0.9 }"),
        "line 5, column 39: `training.optimizer.momentum` does not go with the kind \"adam\", only \
         with \"sgd\"; remove one of them"
    );
}

#[test]
fn values_of_another_type_or_out_of_range_are_told_with_what_is_allowed() {
    for (line, expected) in [
        (
            "training.epochs = 0",
            "line 5, column 19: `training.epochs` is the integer 0; it must be an integer from 1 to \
             1000000",
        ),
        (
            "training.epochs = \"two\"",
            "line 5, column 19: `training.epochs` is the text \"two\"; it must be an integer from 1 \
             to 1000000",
        ),
        (
            "cohort.fraction = 1.5",
            "line 5, column 19: `cohort.fraction` is the number 1.5; it must be a number, above 0 \
             and at most 1",
        ),
        (
            "training.optimizer.learning_rate = nan",
            "line 5, column 36: `training.optimizer.learning_rate` is the number NaN; it must be a \
             number, above 0",
        ),
        (
            "seed = -1",
            "line 5, column 8: `seed` is the integer -1; it must be an integer, at least 0",
        ),
        (
            "seed = 99999999999999999999",
            "line 5, column 8: `seed` is an integer beyond 64 bits; it must be an integer, at least \
             0",
        ),
        (
            "training.batch_size = true",
            "line 5, column 23: `training.batch_size` is `true`; it must be an integer from 1 to \
             1000000000; or the word \"all\"",
        ),
        (
            "training.batch_size = \"al\"",
            "line 5, column 23: `training.batch_size` is \"al\" (did you mean `all`?); it must be \
             \"all\"",
        ),
        (
            "data.columns.age = 7",
            "line 5, column 20: `data.columns.age` is the integer 7; it must be a table",
        ),
        (
            "simulation.seeds = 2020-01-01",
            "line 5, column 20: `simulation.seeds` is a date; it must be an integer from 1 to 1000",
        ),
    ] {
        assert_eq!(fault(line), expected);
    }
}

#[test]
fn missing_and_excluded_keys_are_told() {
    assert_eq!(
        faults("rounds = 1\n[data]\n[model]\nkind = \"mlp\"\n"),
        [
            "line 1, column 1: `name` is missing: it needs a name: at most 64 letters, digits, \
             `-`, `_` and `.`, beginning with a letter or a digit",
            "line 2, column 1: `data.name` is missing: it needs one of the keys \"name\", \"path\"",
            "line 3, column 1: `model.hidden` is missing: it needs a list of at least 1, each item \
             an integer from 1 to 1000000",
        ]
    );
    assert_eq!(
        fault("training = { epochs = 1, steps = 5 }"),
        "line 5, column 26: `training.steps` and `training.epochs` exclude each other; keep one"
    );
}

#[test]
fn sections_that_are_not_built_are_refused_by_name() {
    assert_eq!(
        fault("[privacy]\nclipping_norm = 1.0"),
        "line 5, column 2: [privacy] is not built yet: differential privacy (clipping norm, noise \
         multiplier, accountant) is missing. Remove the section to run without it"
    );
    assert!(fault("[compression]").contains("[compression] is not built yet"));
}

#[test]
fn rules_between_keys_name_the_keys_and_say_what_to_do() {
    for (lines, place, words) in [
        (
            "stop = { metric = \"roc_auc\", at_least = 0.9 }",
            "line 5, column 10",
            "`stop.metric`",
        ),
        (
            "[stop]\nmetric = \"loss\"",
            "line 5, column 2",
            "give `at_least`, `at_most` or `patience`",
        ),
        (
            "cohort = { target = 4, minimum = 5 }",
            "line 5, column 24",
            "lower `minimum` to at most 4",
        ),
        (
            "cohort = { fraction = 0.1, minimum = 3 }\nsimulation = { clients = 20, partition = \"iid\" }",
            "line 5, column 28",
            "`cohort.fraction` 0.1 of 20 clients is 2: every round would be abandoned",
        ),
        (
            "cohort = { target = 4, sampling = \"poisson\" }",
            "line 5, column 12",
            "`cohort.fraction`",
        ),
        (
            "cohort = { fraction = 0.5, sampling = \"all\" }",
            "line 5, column 28",
            "takes all clients",
        ),
        (
            "strategy.kind = \"fed_sgd\"\ntraining.epochs = 2",
            "line 5, column 10",
            "remove `batch_size`",
        ),
        (
            "training.optimizer.nesterov = true",
            "line 5, column 20",
            "needs a `momentum`",
        ),
        (
            "training.schedule.warmup_rounds = 2",
            "line 5, column 19",
            "more than all 1 rounds",
        ),
        (
            "simulation.partition = \"iid\"",
            "line 5, column 12",
            "`simulation.clients` is missing",
        ),
        (
            "data.label = \"y\"\ndata.features = [\"x\", \"y\"]",
            "line 6, column 6",
            "cannot be a feature",
        ),
        (
            "data.classes = [\"a\", \"b\", \"a\"]",
            "line 5, column 6",
            "has \"a\" twice",
        ),
        (
            "data.text.client_pattern = \"who\"",
            "line 5, column 11",
            "must have `{client}` once",
        ),
        (
            "data.text.vocabulary = \"aba\"",
            "line 5, column 11",
            "has 'a' twice",
        ),
    ] {
        let fault = fault(lines);
        assert!(fault.starts_with(place) && fault.contains(words), "{fault}");
    }
}

#[test]
fn many_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = "nam = \"a\"\nrounds = 0\n[data]\nname = 1\n[model]\nkind = \"sofmax\"\n[stop]\n";
    let lines: Vec<usize> = Job::parse(text)
        .unwrap_err()
        .iter()
        .filter_map(|error| error.place.line())
        .collect();
    assert_eq!(lines, [1, 1, 2, 4, 6, 7]);
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let faults = faults("name = \"a\"\nrounds = = 3\n");
    assert!(
        faults[0].starts_with("line 2, column 10: this is not TOML"),
        "{faults:?}"
    );
}

#[test]
fn overrides_come_before_everything_is_checked() {
    let overrides = [
        "training.epochs=3",
        "name = other",
        "model={kind=\"mlp\",hidden=[8]}",
        "model.hidden=[64, 32]",
        "model.hidden.1=16",
        "evaluation.metrics=[\"loss\", \"roc_auc\"]",
        "training.optimizer=adam",
        "training.optimizer.learning_rate=1",
        "data.columns.\"a b\".kind=numeric",
    ];
    let job = Job::parse_with(SMALL, &overrides).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        (job.name.as_str(), job.training.length),
        ("other", LocalLength::Epochs(3))
    );
    let hidden = vec![64, 16];
    assert_eq!(
        job.model.kind,
        ModelKind::Mlp {
            hidden,
            activation: Activation::Relu
        }
    );
    assert_eq!(job.evaluation.metric, MetricKind::RocAuc);
    assert_eq!(job.training.optimizer.learning_rate(), 1.0);
    assert!(matches!(job.data.columns["a b"], Column::Numeric { .. }));
}

#[test]
fn a_faulty_override_is_named() {
    for (text, expected) in [
        (
            "rounds",
            "--set rounds: this is not `key=value`, such as `training.epochs=2`",
        ),
        (
            "rounds=0",
            "--set rounds=0: `rounds` is the integer 0; it must be an integer from 1 to 1000000000",
        ),
        ("a b=1", "--set a b=1: `a b` is not a dotted key"),
        (
            "rounds.x=1",
            "--set rounds.x=1: `rounds` is the integer 1, which has no `x`",
        ),
        (
            "training.epoch=1",
            "--set training.epoch=1: unknown key `training.epoch` (did you mean `epochs`?)",
        ),
    ] {
        let faults = Job::parse_with(SMALL, &[text]).unwrap_err();
        assert_eq!(faults.to_string(), expected);
    }
    let faults = Job::parse_with(SMALL, &["model.hidden=[1, 2"])
        .unwrap_err()
        .to_string();
    assert!(faults.contains("the value is not TOML"), "{faults}");
}

#[test]
fn a_deployment_asks_nodes_by_name_label_and_capacity() {
    let plain = small_with("").deployment;
    assert_eq!((plain.data.as_str(), plain.clients), ("digits", 1));
    assert_eq!((plain.nodes, plain.require.len()), (None, 0));
    assert!(!plain.reproducible && plain.share_model && plain.join_seconds == 60.0);
    let own = "name = \"a\"\nrounds = 1\ndata.path = \"rows.csv\"\nmodel.kind = \"softmax\"\n";
    assert_eq!(Job::parse(own).unwrap().deployment.data, "a");

    let job = small_with(
        "cohort.minimum = 2\n[deployment]\ndata = \"wards\"\nnodes = [\"Long Beach, VA\", \"oslo\"]\n\
         require = { site = \"eu\", memory_mb = 2000 }\njoin_seconds = 0\nreproducible = true\n",
    );
    let asked = job.deployment;
    assert_eq!((asked.data.as_str(), asked.clients), ("wards", 2));
    assert_eq!(asked.nodes.unwrap()[0].as_str(), "Long Beach, VA");
    let require = [
        ("memory_mb".to_string(), Requirement::AtLeast(2000.0)),
        ("site".to_string(), Requirement::Is("eu".to_string())),
    ];
    assert_eq!(asked.require, require.into());
    assert!(asked.reproducible && asked.join_seconds == 0.0);
}

#[test]
fn a_deployment_that_cannot_begin_is_refused_with_what_to_change() {
    for (lines, expected) in [
        (
            "deployment.clients = 0",
            "line 5, column 22: `deployment.clients` is the integer 0; it must be an integer from 1 to 1000000000",
        ),
        (
            "deployment.require = { site = true }",
            "line 5, column 31: `deployment.require.site` is `true`; it must be a text; or a number",
        ),
        (
            "deployment.nodes = [\"a\", \"a\"]",
            "line 5, column 12: `deployment.nodes` has \"a\" twice",
        ),
        (
            "deployment.nodes = [\"a\\u0007\"]",
            "line 5, column 12: `deployment.nodes.0` is no node's name: a client name has the control character \
             U+0007 at byte 1",
        ),
        (
            "deployment = { nodes = [\"a\"], clients = 2 }",
            "line 5, column 16: `deployment.nodes` names 1 nodes, and the run begins with 2 (`deployment.clients`, \
             or else `cohort.minimum`): name more, or lower it",
        ),
        (
            "cohort.minimum = 3\ndeployment.clients = 2",
            "line 6, column 12: `deployment.clients` is 2 and `cohort.minimum` is 3: the run would begin with fewer \
             nodes than a round needs; raise it to at least 3",
        ),
        (
            "deployment.node = [\"a\"]",
            "line 5, column 12: unknown key `deployment.node` (did you mean `nodes`?)",
        ),
    ] {
        assert_eq!(fault(lines), expected);
    }
}
