//! Keys of `[model]`.

use super::{Key, Literal, SHARE, TABLES, Type, count, key};

const ACTIVATIONS: Type = Type::Word(&["relu", "tanh", "sigmoid", "gelu"]);
const UNITS: Type = count(1, 1_000_000);
const POOLS: &[&str] = &["max_pool2d", "avg_pool2d"];

pub(super) const KEYS: &[Key] = &[
    key(
        "model.kind",
        Type::Word(&[
            "softmax", "logistic", "linear", "mlp", "cnn", "lstm", "layers", "external",
        ]),
        "`softmax`: one dense layer to the classes. `logistic`: to one output, two classes. \
         `linear`: to one output, squared error. `mlp`: hidden layers. `cnn`: the convolutional \
         model of McMahan et al. 2017 for square images. `lstm`: their character model. `layers`: a \
         list. `external`: the trainer's process brings it.",
    ),
    key(
        "model.init",
        Type::Text,
        "A safetensors file with the values to start from, relative to the job file.",
    )
    .open("values drawn from the seed, as PyTorch draws them"),
    key("model.hidden", Type::List { of: &UNITS, least: 1 }, "Units of each hidden layer.")
        .unit("units")
        .with(&["mlp"]),
    key("model.activation", ACTIVATIONS, "What follows each hidden layer.")
        .with(&["mlp"])
        .or(Literal::Text("relu")),
    key("model.embedding", UNITS, "Length of a character's vector.")
        .unit("dimensions")
        .with(&["lstm"])
        .or(Literal::Integer(8)),
    key("model.hidden", UNITS, "Units of each LSTM layer.")
        .unit("units")
        .with(&["lstm"])
        .or(Literal::Integer(256)),
    key("model.layers", count(1, 16), "LSTM layers, one on the other.")
        .unit("layers")
        .with(&["lstm"])
        .or(Literal::Integer(2)),
    key(
        "model.layers",
        TABLES,
        "Layers, first to last: `layers = [{ kind = \"dense\", units = 64 }, \"relu\", \"dense\"]`. \
         The last one's outputs are the classes' scores.",
    )
    .with(&["layers"]),
    key(
        "model.layers.kind",
        Type::Word(&[
            "dense",
            "conv2d",
            "max_pool2d",
            "avg_pool2d",
            "embedding",
            "lstm",
            "group_norm",
            "layer_norm",
            "dropout",
            "relu",
            "tanh",
            "sigmoid",
            "gelu",
            "flatten",
            "residual",
        ]),
        "Which layer; each is PyTorch's layer of that name.",
    ),
    key("model.layers.units", UNITS, "Outputs of a dense layer.")
        .unit("units")
        .with(&["dense"])
        .open("as many as the data ask for (classes, characters, or 1)"),
    key("model.layers.bias", Type::Boolean, "Whether a bias is added.")
        .with(&["dense", "conv2d"])
        .or(Literal::Boolean(true)),
    key("model.layers.channels", count(1, 65_536), "Channels of a convolution's output.")
        .unit("channels")
        .with(&["conv2d"]),
    key("model.layers.kernel", count(1, 255), "Height and width of a convolution's kernel.")
        .unit("pixels")
        .with(&["conv2d"]),
    key("model.layers.stride", count(1, 255), "Step of a convolution.")
        .unit("pixels")
        .with(&["conv2d"])
        .or(Literal::Integer(1)),
    key("model.layers.padding", count(0, 255), "Zeros added on each side.")
        .unit("pixels")
        .with(&["conv2d"])
        .or(Literal::Integer(0)),
    key("model.layers.size", count(1, 255), "Height and width of a pool's square.")
        .unit("pixels")
        .with(POOLS),
    key("model.layers.stride", count(1, 255), "Step of a pool.")
        .unit("pixels")
        .with(POOLS)
        .open("`size`"),
    key("model.layers.dimension", UNITS, "Length of a token's vector.")
        .unit("dimensions")
        .with(&["embedding"]),
    key("model.layers.hidden", UNITS, "Units of an LSTM layer.").unit("units").with(&["lstm"]),
    key(
        "model.layers.sequences",
        Type::Boolean,
        "Whether the outputs of all steps go on, or only the last one.",
    )
    .with(&["lstm"])
    .or(Literal::Boolean(false)),
    key("model.layers.groups", count(1, 65_536), "Groups of channels; must divide them.")
        .unit("groups")
        .with(&["group_norm"]),
    key("model.layers.rate", SHARE, "Probability that a value is zeroed while training.")
        .with(&["dropout"])
        .or(Literal::Number(0.5)),
    key(
        "model.layers.layers",
        Type::List { of: &Type::TableAs("model.layers"), least: 1 },
        "Layers whose output, of the input's shape, is added to the input.",
    )
    .with(&["residual"]),
];
