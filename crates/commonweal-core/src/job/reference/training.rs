//! Keys of `[training]`.

use super::{Bound, Key, Literal, PART, SHARE, Type, above, at_least, count, key, number};

const ADAMS: &[&str] = &["adam", "adamw"];

pub(super) const KEYS: &[Key] = &[
    key(
        "training.trainer",
        Type::Name,
        "Who trains: `built-in`, or a name of `simulation.trainers` (on a node, of its own file).",
    )
    .or(Literal::Text("built-in")),
    key(
        "training.epochs",
        count(1, 1_000_000),
        "Passes over a client's rows in a round (E in McMahan et al. 2017).",
    )
    .unit("epochs")
    .or(Literal::Integer(1)),
    key(
        "training.steps",
        count(1, 1_000_000_000),
        "Steps of a client in a round, over its rows as often as needed, instead of `epochs`.",
    )
    .unit("steps")
    .open("`epochs` holds"),
    key(
        "training.batch_size",
        Type::Either(&count(1, 1_000_000_000), &Type::Word(&["all"])),
        "Rows in a step (B in McMahan et al. 2017); `all` takes all rows of the client.",
    )
    .unit("rows")
    .open("32; with the strategy `fed_sgd`, \"all\""),
    key("training.optimizer", Type::Table, "The rule of a step, as PyTorch has it.").filled(),
    key(
        "training.optimizer.kind",
        Type::Word(&["sgd", "adam", "adamw", "adagrad"]),
        "Stochastic gradient descent; Adam; Adam with decoupled decay; Adagrad. Their state does not \
         outlive a round.",
    )
    .or(Literal::Text("sgd")),
    key("training.optimizer.learning_rate", above(0.0), "Learning rate before the schedule.")
        .with(&["sgd"])
        .or(Literal::Number(0.1)),
    key("training.optimizer.learning_rate", above(0.0), "Learning rate before the schedule.")
        .with(ADAMS)
        .or(Literal::Number(0.001)),
    key("training.optimizer.learning_rate", above(0.0), "Learning rate before the schedule.")
        .with(&["adagrad"])
        .or(Literal::Number(0.01)),
    key("training.optimizer.momentum", SHARE, "Share of the last step kept in the next.")
        .with(&["sgd"])
        .or(Literal::Number(0.0)),
    key("training.optimizer.nesterov", Type::Boolean, "Whether the momentum is Nesterov's.")
        .with(&["sgd"])
        .or(Literal::Boolean(false)),
    key(
        "training.optimizer.weight_decay",
        at_least(0.0),
        "Times the weights: added to the gradient (with `adamw`, taken from the weights).",
    )
    .with(&["sgd", "adam", "adagrad"])
    .or(Literal::Number(0.0)),
    key(
        "training.optimizer.weight_decay",
        at_least(0.0),
        "Times the learning rate and the weights, taken from the weights.",
    )
    .with(&["adamw"])
    .or(Literal::Number(0.01)),
    key("training.optimizer.beta1", SHARE, "Decay of the mean of gradients, a step.")
        .with(ADAMS)
        .or(Literal::Number(0.9)),
    key("training.optimizer.beta2", SHARE, "Decay of the mean of squared gradients, a step.")
        .with(ADAMS)
        .or(Literal::Number(0.999)),
    key("training.optimizer.epsilon", above(0.0), "Added to the root in the denominator.")
        .with(ADAMS)
        .or(Literal::Number(1e-8)),
    key("training.optimizer.epsilon", above(0.0), "Added to the root in the denominator.")
        .with(&["adagrad"])
        .or(Literal::Number(1e-10)),
    key("training.schedule", Type::Table, "How the learning rate changes by round.").filled(),
    key(
        "training.schedule.kind",
        Type::Word(&["constant", "step", "exponential", "cosine"]),
        "None; times `factor` after every `every` rounds; times `factor` after each; half a cosine \
         over all rounds.",
    )
    .or(Literal::Text("constant")),
    key("training.schedule.every", count(1, 1_000_000_000), "From one step to the next.")
        .unit("rounds")
        .with(&["step"]),
    key("training.schedule.factor", PART, "What a step multiplies the rate by.")
        .with(&["step", "exponential"]),
    key(
        "training.schedule.end",
        number(Bound::Included(0.0), Bound::Included(1.0)),
        "The rate of the last round, as a share of the full rate.",
    )
    .with(&["cosine"])
    .or(Literal::Number(0.0)),
    key(
        "training.schedule.warmup_rounds",
        count(0, 1_000_000_000),
        "Rounds over which the rate rises, in equal steps, to its full value.",
    )
    .unit("rounds")
    .or(Literal::Integer(0)),
    key(
        "training.class_weights",
        Type::Either(
            &Type::Word(&["balanced"]),
            &Type::List { of: &above(0.0), least: 2 },
        ),
        "How much each class counts in the loss: `balanced` is all rows ÷ (classes × rows of the \
         class), over all clients; or one factor a class, in their order.",
    )
    .open("1 each"),
    key(
        "training.max_abs_update",
        number(Bound::Excluded(0.0), Bound::Included(1_048_576.0)),
        "Largest absolute value that one coordinate of an update may have: it fixes the grid that \
         updates are rounded to. A client whose update exceeds it is refused, and named.",
    )
    .or(Literal::Number(16.0)),
];
