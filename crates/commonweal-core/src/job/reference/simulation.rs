//! Keys of `[simulation]`.

use super::{Key, Literal, SHARE, TEXTS, Type, above, at_least, count, key};

pub(super) const KEYS: &[Key] = &[
    key("simulation.clients", count(1, 100_000_000), "Clients that the rows are dealt to.")
        .unit("clients")
        .open("as many as a `natural` partition finds; others need it"),
    key(
        "simulation.partition",
        Type::Table,
        "How the rows are dealt to the clients.",
    )
    .open("`natural` where `clients` is absent, else `iid`"),
    key(
        "simulation.partition.kind",
        Type::Word(&[
            "iid",
            "dirichlet",
            "dirichlet_quantity",
            "shards",
            "classes",
            "power_law",
            "drawn",
            "natural",
        ]),
        "`iid`: shuffled, dealt evenly. `dirichlet`: for every class, shares from a Dirichlet \
         distribution. `dirichlet_quantity`: sizes from one, classes mixed. `shards`: rows sorted by \
         label and cut into shards (McMahan et al. 2017). `classes`: rows of a few classes a client. \
         `power_law`: a few large clients, many small. `drawn`: each client draws out of all rows, \
         whatever the others drew, for more clients than rows. `natural`: by a column.",
    ),
    key(
        "simulation.partition.alpha",
        above(0.0),
        "Concentration: the smaller, the more uneven; 0.3 is uneven, 100 nearly even.",
    )
    .with(&["dirichlet", "dirichlet_quantity"]),
    key("simulation.partition.per_client", count(1, 1_000_000), "Shards that a client gets.")
        .unit("shards")
        .with(&["shards"])
        .or(Literal::Integer(2)),
    key("simulation.partition.size", count(1, 1_000_000_000), "Rows in a shard.")
        .unit("rows")
        .with(&["shards"])
        .open("as many as use up all rows"),
    key("simulation.partition.per_client", count(1, 1_000_000), "Classes that a client has.")
        .unit("classes")
        .with(&["classes"])
        .or(Literal::Integer(2)),
    key(
        "simulation.partition.exponent",
        at_least(0.0),
        "The client of rank r gets a share proportional to r to the minus this; 0 deals evenly.",
    )
    .with(&["power_law"])
    .or(Literal::Number(1.0)),
    key("simulation.partition.rows", count(1, 1_000_000_000), "Training rows that a client draws.")
        .unit("rows")
        .with(&["drawn"])
        .or(Literal::Integer(10)),
    key(
        "simulation.partition.column",
        Type::Text,
        "Column whose values are the clients; says the same as `data.client`.",
    )
    .with(&["natural"])
    .open("`data.client`, or the data set's own"),
    key(
        "simulation.allow_empty",
        Type::Boolean,
        "Whether a client may end up without a training row.",
    )
    .or(Literal::Boolean(false)),
    key(
        "simulation.minimum_rows",
        count(0, 1_000_000_000),
        "Clients of a `natural` partition with fewer rows (examples) are left out.",
    )
    .unit("rows")
    .or(Literal::Integer(1)),
    key(
        "simulation.baselines",
        Type::List { of: &Type::Word(&["local", "pooled"]), least: 0 },
        "What the federated model is compared with: each client alone, and all data in one place.",
    )
    .or(Literal::Texts(&[])),
    key("simulation.baseline_epochs", count(1, 1_000_000), "How long a baseline trains.")
        .unit("epochs")
        .open("as many epochs as a client does in its share of the rounds"),
    key(
        "simulation.seeds",
        count(1, 1_000),
        "Runs: with the job's `seed`, the next integer, and so on. The report gives mean, deviation \
         and a 95 % interval.",
    )
    .unit("seeds")
    .or(Literal::Integer(1)),
    key("simulation.threads", count(1, 4_096), "Threads. The result does not depend on it.")
        .unit("threads")
        .open("one a core"),
    key(
        "simulation.population",
        Type::Table,
        "How reachable and how fast the clients are, in simulated time.",
    )
    .filled(),
    key(
        "simulation.population.dropout",
        SHARE,
        "Probability that a client that was asked does not report.",
    )
    .or(Literal::Number(0.0)),
    key(
        "simulation.population.latency_seconds",
        at_least(0.0),
        "Median time from question to report.",
    )
    .unit("seconds")
    .or(Literal::Number(0.0)),
    key(
        "simulation.population.latency_spread",
        at_least(0.0),
        "Deviation of the logarithm of that time, which is log-normal; 0 takes the median always.",
    )
    .or(Literal::Number(0.0)),
    key(
        "simulation.trainers",
        Type::Map(&Type::Table),
        "How to start, here, the trainers that `training.trainer` may name. A node's own file says \
         it there: no command travels.",
    )
    .or(Literal::Empty),
    key(
        "simulation.trainers.*.command",
        Type::List { of: &Type::AnyText, least: 1 },
        "Program and arguments; started in the job file's folder, not through a shell.",
    ),
    key("simulation.trainers.*.workers", count(1, 1_024), "Processes alive at the same time.")
        .unit("processes")
        .or(Literal::Integer(1)),
    key(
        "simulation.trainers.*.devices",
        TEXTS,
        "Devices, dealt to the processes in turn (`cuda:0`).",
    )
    .or(Literal::Texts(&[])),
    key(
        "simulation.trainers.*.environment",
        Type::Map(&Type::AnyText),
        "Environment variables that are set for the processes.",
    )
    .or(Literal::Empty),
];
