//! A built-in model as PyTorch source: the same module, with a loader for the model's file.

use std::fmt::Write as _;

use commonweal_core::{ExportType, Scope};

use crate::head::Head;
use crate::model::Model;

/// Python source of a `torch.nn` module whose `state_dict` has the model's names and shapes, with a
/// function that loads a `model.safetensors` beside it. It needs nothing but PyTorch.
///
/// `names` are those of the classes or tokens in the order of their numbers; they become a constant
/// of the module (pass none where the target is a value).
pub fn torch_source(model: &Model, names: &[String]) -> String {
    let mut source = String::from(PREAMBLE);
    write_names(&mut source, names);
    for (class, definition) in CLASSES {
        if model
            .torch
            .iter()
            .any(|line| line.trim_start().starts_with(class))
        {
            source.push_str(definition);
        }
    }
    let _ = write!(
        source,
        "\n\nclass Model(nn.Sequential):\n    \"\"\"{}\"\"\"\n",
        describe(model)
    );
    source.push_str("\n    def __init__(self):\n        super().__init__(\n");
    for line in &model.torch {
        let _ = writeln!(source, "            {line}");
    }
    source.push_str("        )\n");
    source.push_str(LOADER);
    source
}

/// Inputs, outputs and the tensors, for the reader.
fn describe(model: &Model) -> String {
    let outputs = match model.head {
        Head::Classes { classes } => format!("{classes} logits (softmax gives probabilities)"),
        Head::Binary => "the logit of class 1 (sigmoid gives its probability)".to_owned(),
        Head::Value => "one value".to_owned(),
    };
    let input = match &model.example.input {
        commonweal_data::Input::Values(shape) => {
            format!("floats of shape [batch, {}]", join(shape))
        }
        commonweal_data::Input::Tokens { length, vocabulary } => {
            format!("tokens of shape [batch, {length}], each below {vocabulary}")
        }
    };
    let mut text = format!("Takes {input}; gives {outputs}.\n\n    Tensors:\n");
    for tensor in model.layout.tensors() {
        let scope = match tensor.scope {
            Scope::Shared => "",
            Scope::Frozen => ", frozen",
            Scope::Local => ", kept by each client",
        };
        let kind = match tensor.export {
            ExportType::F32 => "float32",
            ExportType::I64 => "int64",
        };
        let _ = writeln!(
            text,
            "      {}: {kind} [{}]{scope}",
            tensor.name,
            join(&tensor.shape)
        );
    }
    let _ = write!(text, "    Values in all: {}\n    ", model.layout.len());
    text
}

fn join(shape: &[usize]) -> String {
    shape
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The names as a Python list: JSON strings are Python strings.
fn write_names(source: &mut String, names: &[String]) {
    if names.is_empty() {
        return;
    }
    source.push_str("\n# Name of each class or token, by its number.\nNAMES = [\n");
    for name in names {
        let _ = writeln!(source, "    {},", python_string(name));
    }
    source.push_str("]\n");
}

fn python_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(character));
            }
        }
    }
    quoted.push('"');
    quoted
}

const PREAMBLE: &str = r#""""A model trained with Commonweal, for PyTorch: `python model.py` loads and describes it."""

import json
import pathlib
import struct

import torch
from torch import nn
"#;

/// Modules that PyTorch does not have, by the name under which a layer's line begins.
const CLASSES: [(&str, &str); 3] = [
    (
        "Lstm(",
        r#"

class Lstm(nn.LSTM):
    """Gives the hidden states of all instants."""

    def forward(self, x):
        return super().forward(x)[0]
"#,
    ),
    (
        "LastLstm(",
        r#"

class LastLstm(nn.LSTM):
    """Gives the hidden state of the last instant."""

    def forward(self, x):
        return super().forward(x)[0][:, -1]
"#,
    ),
    (
        "Residual(",
        r#"

class Residual(nn.Sequential):
    """Adds what its layers make of x to x."""

    def forward(self, x):
        return x + super().forward(x)
"#,
    ),
];

const LOADER: &str = r#"

def load(path=pathlib.Path(__file__).with_name("model.safetensors")):
    """The module with the values of a safetensors file."""
    data = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    types = {"F32": torch.float32, "I64": torch.int64}
    state = {}
    for name, tensor in header.items():
        start, end = (8 + size + offset for offset in tensor["data_offsets"])
        values = torch.frombuffer(bytearray(data[start:end]), dtype=types[tensor["dtype"]])
        state[name] = values.reshape(tensor["shape"])
    model = Model()
    model.load_state_dict(state)
    return model.eval()


if __name__ == "__main__":
    print(load())
"#;
