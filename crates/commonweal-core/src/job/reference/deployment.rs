//! Keys of `[deployment]`.

use super::{ANY_NUMBER, Key, Literal, Type, at_least, count, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "deployment.data",
        Type::Name,
        "Name of the data set in each node's own file, which says where it lies there.",
    )
    .open("`data.name`, or the job's name"),
    key(
        "deployment.nodes",
        Type::List { of: &Type::Text, least: 1 },
        "Names of the nodes that the run is offered to.",
    )
    .open("every node that has the data set"),
    key(
        "deployment.require",
        Type::Map(&Type::Either(&Type::Text, &ANY_NUMBER)),
        "What a node must state of itself: a label that is this text (`site = \"eu\"`), or a capacity \
         of at least this number (`memory_mb = 2000`, `threads = 4`).",
    )
    .or(Literal::Empty),
    key(
        "deployment.clients",
        count(1, 1_000_000_000),
        "Nodes that must be ready before the run begins; at least `cohort.minimum`.",
    )
    .unit("clients")
    .open("`cohort.minimum`"),
    key(
        "deployment.join_seconds",
        at_least(0.0),
        "How long after its submission the run waits for more nodes than `clients`.",
    )
    .unit("seconds")
    .or(Literal::Number(60.0)),
    key(
        "deployment.reproducible",
        Type::Boolean,
        "Whether a round waits for every node that was drawn for it, however long it is away: then the \
         same nodes and data give the same model.",
    )
    .or(Literal::Boolean(false)),
    key(
        "deployment.share_model",
        Type::Boolean,
        "Whether the nodes may fetch the final model.",
    )
    .or(Literal::Boolean(true)),
];
