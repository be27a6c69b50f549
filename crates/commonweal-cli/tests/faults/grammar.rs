//! The messages of `commonweal.proto` as text, with placeholders for what differs from one conversation to the next.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use prost_reflect::prost::Message as _;
use prost_reflect::text_format::FormatOptions;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../commonweal-wire/proto");
    let files = protox::compile(["commonweal.proto"], [folder]).unwrap();
    DescriptorPool::from_file_descriptor_set(files).unwrap()
});

/// Fields of text that are drawn anew in every process of a server.
const DRAWN: [&str; 2] = ["mailbox", "accumulator"];

/// What placeholders stand for, by name.
pub(crate) type Values = BTreeMap<String, Vec<u8>>;

/// The bytes of the message that a text describes, placeholders replaced.
pub(crate) fn encode(name: &str, text: &str, values: &Values) -> Result<Vec<u8>, String> {
    let mut message = DynamicMessage::parse_text_format(descriptor(name)?, text)
        .map_err(|error| error.to_string())?;
    let mut missing = None;
    each_value(&mut message, &mut |_, bytes| {
        let placeholder = placeholder(bytes)?.to_owned();
        let value = values.get(&placeholder).cloned();
        if value.is_none() {
            missing = Some(placeholder);
        }
        value
    });
    match missing {
        Some(placeholder) => Err(format!("nothing is known of <{placeholder}>")),
        None => Ok(message.encode_to_vec()),
    }
}

/// A message as text. Bytes become placeholders: of the value known by them, or of a new one. Times are left out.
pub(crate) fn describe(name: &str, bytes: &[u8], values: &mut Values) -> Result<String, String> {
    let mut message =
        DynamicMessage::decode(descriptor(name)?, bytes).map_err(|error| error.to_string())?;
    each_value(&mut message, &mut |field, value| {
        let is_drawn = DRAWN.contains(&field.name.as_str());
        if value.is_empty() || !(field.is_bytes || is_drawn) {
            return None;
        }
        let known = values.iter().find(|(_, known)| *known == value);
        let placeholder = match known {
            Some((placeholder, _)) => placeholder.clone(),
            None => {
                let placeholder = free(&field.name, values);
                values.insert(placeholder.clone(), value.to_vec());
                placeholder
            }
        };
        Some(format!("<{placeholder}>").into_bytes())
    });
    clear_times(&mut message);
    Ok(message.to_text_format_with_options(&FormatOptions::new().pretty(true)))
}

/// A name that stands for nothing yet.
fn free(field: &str, values: &Values) -> String {
    let numbered = (2..).map(|number| format!("{field}-{number}"));
    let mut names = std::iter::once(field.to_owned()).chain(numbered);
    names.find(|name| !values.contains_key(name)).unwrap()
}

/// Puts known values in the place of `<name>` in a text.
pub(crate) fn fill(text: &str, values: &Values, show: impl Fn(&[u8]) -> String) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("<{name}>"), &show(value))
    })
}

fn placeholder(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.strip_prefix('<')?.strip_suffix('>')
}

fn descriptor(name: &str) -> Result<prost_reflect::MessageDescriptor, String> {
    let found = POOL.get_message_by_name(&format!("commonweal.v1.{name}"));
    found.ok_or_else(|| format!("the grammar has no message {name}"))
}

struct Field {
    name: String,
    is_bytes: bool,
}

/// Replaces texts and bytes for which `change` gives another value.
fn each_value(
    message: &mut DynamicMessage,
    change: &mut impl FnMut(&Field, &[u8]) -> Option<Vec<u8>>,
) {
    for (descriptor, value) in message.fields_mut() {
        let name = descriptor.name().to_owned();
        replace(&name, value, change);
    }
}

fn replace(
    name: &str,
    value: &mut Value,
    change: &mut impl FnMut(&Field, &[u8]) -> Option<Vec<u8>>,
) {
    let field = |is_bytes| Field {
        name: name.to_owned(),
        is_bytes,
    };
    match value {
        Value::Bytes(bytes) => {
            if let Some(new) = change(&field(true), bytes) {
                *bytes = new.into();
            }
        }
        Value::String(text) => {
            if let Some(new) = change(&field(false), text.as_bytes()) {
                *text = String::from_utf8(new).unwrap();
            }
        }
        Value::Message(message) => each_value(message, change),
        Value::List(values) => {
            for value in values {
                replace(name, value, change);
            }
        }
        _ => (),
    }
}

/// Leaves out what a clock says.
fn clear_times(message: &mut DynamicMessage) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        if field.name().ends_with("_ms") {
            message.clear_field(&field);
            continue;
        }
        match message.get_field_mut(&field) {
            Value::Message(inner) => clear_times(inner),
            Value::List(values) => {
                for value in values {
                    if let Value::Message(inner) = value {
                        clear_times(inner);
                    }
                }
            }
            _ => (),
        }
    }
}

#[test]
fn a_message_survives_its_text_and_its_placeholders() {
    let mut values = Values::new();
    values.insert("token".to_owned(), vec![7; 32]);
    let text =
        "token: \"<token>\" name: \"a\" statement { labels { key: \"site\" value: \"eu\" } }";
    let bytes = encode("JoinRequest", text, &values).unwrap();
    assert!(bytes.windows(32).any(|window| window == [7; 32]));
    let shown = describe("JoinRequest", &bytes, &mut values).unwrap();
    assert!(shown.contains("token: \"<token>\""), "{shown}");
    assert_eq!(encode("JoinRequest", &shown, &values), Ok(bytes));
    assert!(encode("JoinRequest", "token: \"<other>\"", &values).is_err());
}

#[test]
fn times_are_left_out_and_drawn_words_named() {
    let mut values = Values::new();
    let answer = commonweal_wire::proto::PollAnswer {
        mailbox: "b7".to_owned(),
        instructions: Vec::new(),
        server_time_ms: 9,
    };
    let bytes = prost::Message::encode_to_vec(&answer);
    let shown = describe("PollAnswer", &bytes, &mut values).unwrap();
    assert_eq!(shown, "mailbox: \"<mailbox>\"");
    assert_eq!(values["mailbox"], b"b7");
}
