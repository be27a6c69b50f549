//! Readers meet any bytes: they refuse or read them, and never panic.

use commonweal_core::job::{Missing, Text};
use commonweal_data::archive::{File, unpack};
use commonweal_data::cifar::{self, Cifar};
use commonweal_data::table::{Feature, FeatureKind, Label, LabelKind, Schema, infer, read};
use commonweal_data::{embedded, idx, leaf, text};
use proptest::prelude::*;

fn schema() -> Schema {
    let feature = |name: &str, kind| Feature {
        name: name.to_owned(),
        kind,
        missing: Missing::DropRow,
        missing_values: vec!["?".to_owned()],
    };
    Schema {
        features: vec![
            feature("a", FeatureKind::Numeric),
            feature(
                "b",
                FeatureKind::Categorical {
                    levels: None,
                    drop_first: true,
                },
            ),
        ],
        label: Some(Label {
            column: "y".to_owned(),
            kind: LabelKind::Class(None),
        }),
        client: None,
        group: None,
        series: None,
        keyless: Missing::Refuse,
        missing_values: Vec::new(),
        delimiter: ',',
    }
}

/// Bytes that look like a table: short fields, quotes, delimiters and line ends of every kind.
fn table_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b",".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"1.5".to_vec()),
        Just(b"?".to_vec()),
        Just(b"\xff".to_vec()),
        Just(b"nan".to_vec()),
    ];
    proptest::collection::vec(piece, 0..60)
        .prop_map(|pieces| [b"a,b,y\n".to_vec(), pieces.concat()].concat())
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = idx::parse(&bytes);
        let _ = embedded::parse_digits(&bytes);
        let _ = read(&bytes, &schema());
        let _ = infer(&bytes, "y", None);
        let _ = cifar::read([&bytes[..]], Cifar::Ten);
        let _ = unpack(&bytes, ".txt", 1 << 20);
        let files = [File { name: "a.txt".to_owned(), bytes }];
        let _ = leaf::read(&files, false, false);
        let cut = Text {
            sequence_length: 3,
            stride: 2,
            vocabulary: None,
            client_pattern: Some("{client}.".to_owned()),
        };
        let _ = text::read(&files, &cut);
    }

    #[test]
    fn no_header_makes_the_idx_reader_panic_or_allocate(
        magic in prop_oneof![Just([0, 0, 8, 1]), Just([0, 0, 8, 3]), any::<[u8; 4]>()],
        rest in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let bytes = [&magic[..], &rest].concat();
        if let Ok(idx) = idx::parse(&bytes) {
            prop_assert_eq!(idx.shape.iter().product::<usize>(), idx.values.len());
            prop_assert!(idx.values.len() <= rest.len());
        }
    }

    #[test]
    fn a_table_that_is_read_has_a_line_for_every_row(bytes in table_like()) {
        if let Ok(table) = read(&bytes, &schema()) {
            prop_assert_eq!(table.lines().len(), table.rows() as usize);
            prop_assert!(table.lines().is_sorted());
        }
    }
}
