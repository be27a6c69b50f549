//! What a job need not say of a data set that is known by name.

use commonweal_core::job::{Column, Data, DataTask, Format, Missing, Text, Windows};

use super::Known;

/// Characters of a sequence where the job does not say.
const SEQUENCE_LENGTH: u32 = 80;

/// Instants of a window, and between two, where the job does not say: 2 s and 1 s.
const WINDOW: (u32, u32) = (100, 50);

impl Known {
    /// `data` with what it leaves open filled in: label, client, columns and cuts of this data set.
    pub fn complete(&self, data: &Data) -> Data {
        let mut full = data.clone();
        match self.name {
            "digits" | "mnist" => fill_classes(&mut full, &TEN_NUMBERS),
            "fashion-mnist" => fill_classes(&mut full, &CLOTHES),
            "cifar10" => fill_classes(&mut full, &CIFAR_10),
            "heart" => heart(&mut full),
            "breast-cancer" => {
                fill(&mut full.label, "y");
                fill(&mut full.positive, "M");
                fill_task(&mut full);
                fill_drop(&mut full, &["rownames"]);
            }
            "loans" => {
                fill(&mut full.label, "Class");
                fill(&mut full.client, "addr_state");
                fill_classes(&mut full, &["good", "bad"]);
                fill_drop(&mut full, &["rownames"]);
                let names = ["term", "sub_grade", "verification_status", "emp_length"];
                fill_categorical(&mut full, &names, false);
            }
            "keyboard" => {
                let text = full.text.get_or_insert(Text {
                    sequence_length: SEQUENCE_LENGTH,
                    stride: SEQUENCE_LENGTH,
                    vocabulary: None,
                    client_pattern: None,
                });
                fill(&mut text.client_pattern, "{client}.");
            }
            "wearable" => {
                fill(&mut full.label, "exercise");
                fill_task(&mut full);
                fill(&mut full.client, "subject");
                let channels = ["ax", "ay", "az", "wx", "wy", "wz"]
                    .map(str::to_owned)
                    .to_vec();
                full.features.get_or_insert(channels);
                let (length, stride) = WINDOW;
                full.windows.get_or_insert(Windows {
                    length,
                    stride,
                    series: "series".to_owned(),
                });
            }
            _ => {}
        }
        full.format = full.format.or(self.format());
        full
    }

    fn format(&self) -> Option<Format> {
        match self.name {
            "mnist" | "fashion-mnist" => Some(Format::Idx),
            "cifar10" => Some(Format::Cifar),
            "heart" | "breast-cancer" | "loans" => Some(Format::Csv),
            "keyboard" => Some(Format::Text),
            "wearable" => Some(Format::Series),
            _ => None,
        }
    }
}

const TEN_NUMBERS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const CLOTHES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

const CIFAR_10: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// As FLamby's Fed-Heart-Disease reads it (Ogier du Terrail et al. 2022, arXiv:2210.04620): three columns
/// that hardly anybody recorded are left out, then the rows that still lack a value; 13 features.
fn heart(data: &mut Data) {
    if data.label.is_none() {
        data.label = Some("num".to_owned());
        data.positive_above = data.positive_above.or(Some(0.0));
    }
    fill(&mut data.client, "dataset");
    fill_drop(data, &["id", "slope", "ca", "thal"]);
    if data.missing == Missing::Refuse {
        data.missing = Missing::DropRow;
    }
    fill_categorical(data, &["sex", "cp", "fbs", "restecg", "exang"], true);
}

fn fill_categorical(data: &mut Data, columns: &[&str], drop_first: bool) {
    for name in columns {
        data.columns
            .entry((*name).to_owned())
            .or_insert(Column::Categorical {
                levels: None,
                drop_first,
                missing: None,
                missing_values: Vec::new(),
            });
    }
}

/// Of a data set whose label is a class.
fn fill_task(data: &mut Data) {
    data.task.get_or_insert(DataTask::Classification);
}

fn fill(key: &mut Option<String>, value: &str) {
    key.get_or_insert_with(|| value.to_owned());
}

fn fill_classes(data: &mut Data, names: &[&str]) {
    let names = || names.iter().map(|name| (*name).to_owned()).collect();
    data.classes.get_or_insert_with(names);
}

/// Leaves columns out of which the job says nothing, unless it names its features.
fn fill_drop(data: &mut Data, columns: &[&str]) {
    if data.features.is_none() && data.drop.is_empty() {
        data.drop = columns.iter().map(|column| (*column).to_owned()).collect();
    }
}
