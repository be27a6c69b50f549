//! Keys at the top, and those of `[cohort]`, `[strategy]`, `[evaluation]`, `[stop]`, `[expect]` and
//! `[checkpoints]`.

use super::{ANY_NUMBER, Bound, Key, Literal, PART, SHARE, Type, above, count, key, number};

const METRICS: Type = Type::Word(&[
    "loss",
    "accuracy",
    "macro_f1",
    "roc_auc",
    "perplexity",
    "mean_squared_error",
    "mean_absolute_error",
]);

pub(super) const TOP: &[Key] = &[
    key(
        "name",
        Type::Name,
        "Name of the job; runs are kept in `runs/<name>-<n>`.",
    ),
    key(
        "rounds",
        count(1, 1_000_000_000),
        "Rounds after which the run ends.",
    )
    .unit("rounds"),
    key(
        "seed",
        count(0, i64::MAX),
        "Root of all reproducible randomness: partition, split, initial values, cohorts, shuffles. \
         The same seed gives the same bytes.",
    )
    .or(Literal::Integer(1)),
    key(
        "data",
        Type::Table,
        "Which rows there are, and how they are read, split and scaled.",
    ),
    key(
        "simulation",
        Type::Table,
        "Clients, threads and comparisons of `commonweal simulate`. No part of the manifest: a \
         deployment ignores the section, and says so.",
    )
    .filled(),
    key("model", Type::Table, "What is learned."),
    key(
        "training",
        Type::Table,
        "What a client does with its rows in one round.",
    )
    .filled(),
    key("cohort", Type::Table, "Which clients take part in a round.").filled(),
    key(
        "strategy",
        Type::Table,
        "What the server makes of the clients' updates.",
    )
    .filled(),
    key(
        "evaluation",
        Type::Table,
        "What is measured on the clients' test rows, and when.",
    )
    .filled(),
    key(
        "stop",
        Type::Table,
        "When the run ends before its last round.",
    )
    .open("runs all its rounds"),
    key(
        "expect",
        Type::Table,
        "What the final model should reach. The report says whether it did; a run that did not \
         has not failed.",
    )
    .open("expects nothing"),
    key(
        "checkpoints",
        Type::Table,
        "Which checkpoints stay besides the last two and the best.",
    )
    .filled(),
    key(
        "deployment",
        Type::Table,
        "Which nodes a run is offered to and how many it waits for; a simulation ignores the section.",
    )
    .filled(),
];

pub(super) const ROUNDS: &[Key] = &[
    key(
        "cohort.fraction",
        PART,
        "Share of all clients that a round wants reports of; at least one client.",
    )
    .or(Literal::Number(1.0)),
    key(
        "cohort.target",
        count(1, 1_000_000_000),
        "Number of clients that a round wants reports of, instead of `fraction`.",
    )
    .unit("clients")
    .open("`fraction` holds"),
    key(
        "cohort.minimum",
        count(1, 1_000_000_000),
        "A round with fewer reports is abandoned: the model stays as it was.",
    )
    .unit("clients")
    .or(Literal::Integer(1)),
    key(
        "cohort.over_selection",
        number(Bound::Included(1.0), Bound::Included(10.0)),
        "Clients that are asked for each one that is wanted; the round closes when enough have \
         reported (Bonawitz et al. 2019 use 1.3).",
    )
    .or(Literal::Number(1.0)),
    key(
        "cohort.sampling",
        Type::Word(&["uniform", "poisson", "all"]),
        "`uniform` draws without replacement; `poisson` takes each client by itself with \
         probability `fraction`; `all` takes all.",
    )
    .or(Literal::Text("uniform")),
    key(
        "cohort.deadline_seconds",
        above(0.0),
        "Time a round may take; what is reported later does not count.",
    )
    .unit("seconds")
    .open("waits for all that were asked"),
    key(
        "strategy.kind",
        Type::Word(&["fed_avg", "fed_sgd", "fed_avgm"]),
        "`fed_avg` is FederatedAveraging (McMahan et al. 2017); `fed_sgd` the same with one step on \
         all rows of a client; `fed_avgm` adds momentum on the server (Hsu et al. 2019).",
    )
    .or(Literal::Text("fed_avg")),
    key(
        "strategy.weighting",
        Type::Word(&["examples", "uniform"]),
        "How much a client's update counts: by its training rows, or all alike.",
    )
    .or(Literal::Text("examples")),
    key(
        "strategy.server_learning_rate",
        above(0.0),
        "The server's model moves by this times the mean update.",
    )
    .or(Literal::Number(1.0)),
    key("strategy.server_momentum", SHARE, "Share of the last move that is kept in the next.")
        .with(&["fed_avgm"])
        .or(Literal::Number(0.9)),
    key(
        "strategy.aggregator",
        Type::Word(&["mean", "median"]),
        "`mean` is exact and needs the memory of one update, whatever the cohort; `median` is that \
         of each coordinate, unweighted, and keeps the whole cohort's updates.",
    )
    .or(Literal::Text("mean")),
    key(
        "evaluation.every",
        count(1, 1_000_000_000),
        "From one evaluation to the next; the last round is always evaluated.",
    )
    .unit("rounds")
    .or(Literal::Integer(1)),
    key(
        "evaluation.metrics",
        Type::List { of: &METRICS, least: 1 },
        "The closed list of numbers that clients compute on their test rows; they leave a client \
         as sums only.",
    )
    .open("`loss` and `accuracy`; with the model `linear`, `loss` and `mean_squared_error`"),
    key("evaluation.metric", METRICS, "The metric by which a run is judged; one of `metrics`.")
        .open("the first of `metrics` other than `loss`"),
    key("stop.metric", METRICS, "The metric that is looked at; one of `evaluation.metrics`."),
    key("stop.at_least", ANY_NUMBER, "Ends the run when the metric is this or more.")
        .open("no such end"),
    key("stop.at_most", ANY_NUMBER, "Ends the run when the metric is this or less.")
        .open("no such end"),
    key(
        "stop.patience",
        count(1, 1_000_000_000),
        "Ends the run after this many evaluations in a row without a new best value.",
    )
    .unit("evaluations")
    .open("no such end"),
    key("expect.metric", METRICS, "The metric that is looked at; one of `evaluation.metrics`."),
    key("expect.at_least", ANY_NUMBER, "The final model should reach this or more.")
        .open("no such floor"),
    key("expect.at_most", ANY_NUMBER, "The final model should reach this or less.")
        .open("no such ceiling"),
    key(
        "checkpoints.every",
        count(1, 1_000_000_000),
        "Keeps the checkpoint of every round whose number is a multiple of this.",
    )
    .unit("rounds")
    .open("keeps no others"),
];
