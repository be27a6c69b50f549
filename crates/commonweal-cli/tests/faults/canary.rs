//! No value leaves a node: not in a message, not in an error, not in a log, not in the server's store.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use commonweal_wire::control::RunState;

use crate::recorder::Recorder;
use crate::server::Server;
use crate::site::Site;

/// The node whose table has no header.
const NO_HEADER: &str = "broken-00";

/// Rows of a node's table.
const ROWS: usize = 24;

/// Tables of two numbers, a ward that the job does not ask for and a class. Everything is declared.
const JOB: &str = r#"
name = "canary"
rounds = 2
seed = 7
[data]
path = "table.csv"
label = "sick"
classes = ["no", "yes"]
features = ["age", "pressure"]
columns = { age = "numeric", pressure = "numeric" }
[model]
kind = "logistic"
[cohort]
fraction = 1.0
[evaluation]
every = 1
metrics = ["loss", "accuracy"]
[deployment]
data = "patients"
"#;

/// A cell that nothing else in the world says.
fn number(node: usize, row: usize, column: usize) -> String {
    format!(
        "{}.{:03}",
        48_000 + 1000 * node + 7 * row,
        137 + 31 * row + column
    )
}

fn word(node: usize, row: usize) -> String {
    format!("Kanarienvogel{node}x{row}")
}

/// A table of this node with a canary in every cell but the class's.
fn table(node: usize) -> String {
    let mut text = "age,pressure,ward,sick\n".to_owned();
    for row in 0..ROWS {
        let class = ["no", "yes"][row % 2];
        let (age, pressure) = (number(node, row, 0), number(node, row, 1));
        text.push_str(&format!("{age},{pressure},{},{class}\n", word(node, row)));
    }
    text
}

/// What is searched for: every cell as it is written, and every number as bytes that a program could write.
fn needles(nodes: usize) -> Vec<Vec<u8>> {
    let mut needles = Vec::new();
    for (node, row) in (0..nodes).flat_map(|node| (0..ROWS).map(move |row| (node, row))) {
        needles.push(word(node, row).into_bytes());
        for column in 0..2 {
            let text = number(node, row, column);
            let value: f64 = text.parse().unwrap();
            needles.push(value.to_le_bytes().to_vec());
            needles.push((value as f32).to_le_bytes().to_vec());
            needles.push(text.into_bytes());
        }
    }
    needles
}

/// Every way in which a table can be wrong, by name.
fn broken(node: usize) -> Vec<(&'static str, Vec<u8>)> {
    let table = table(node);
    let cell = number(node, 5, 0);
    let word = word(node, 5);
    let swap = |with: &str| table.replace(&cell, with).into_bytes();
    let lines = |change: &dyn Fn(&str) -> String| {
        let lines: Vec<String> = table.lines().map(change).collect();
        lines.join("\n").into_bytes()
    };
    let (_, rows) = table.split_once('\n').unwrap();
    let mut not_text = table.clone().into_bytes();
    not_text.extend([0xff, 0xfe, b'\n']);
    vec![
        ("without a header", rows.as_bytes().to_vec()),
        (
            "without a column",
            lines(&|line| line.split_once(',').unwrap().1.to_owned()),
        ),
        ("a word for a number", swap(&word)),
        (
            "a number with a word behind it",
            swap(&format!("{cell} {word}")),
        ),
        ("nothing for a number", swap("")),
        ("no number", swap("NaN")),
        ("infinity", swap("inf")),
        (
            "a number beyond all",
            swap(&format!("{}e999", cell.replace('.', ""))),
        ),
        (
            "another class",
            table
                .replacen(",yes\n", &format!(",{word}\n"), 1)
                .into_bytes(),
        ),
        ("a line too long", swap(&format!("{cell},{cell}"))),
        (
            "a line too short",
            table.replace(&format!("{cell},"), "").into_bytes(),
        ),
        ("a quote without end", swap(&format!("\"{cell}"))),
        ("a zero byte", swap(&format!("{cell}\0"))),
        ("other delimiters", table.replace(',', ";").into_bytes()),
        (
            "a column twice",
            table.replacen("pressure", "age", 1).into_bytes(),
        ),
        ("a header alone", b"age,pressure,ward,sick\n".to_vec()),
        ("nothing at all", Vec::new()),
        ("no text", not_text),
        (
            "bytes of a number",
            cell.parse::<f64>().unwrap().to_le_bytes().to_vec(),
        ),
    ]
}

/// A node with this table.
fn site(server: &Server, name: &str, table: &[u8]) -> Site {
    let site = Site::join(server, name, "[data.patients]\npath = \"table.csv\"\n");
    fs::write(site.folder().join("node/table.csv"), table).unwrap();
    site
}

/// The job for these nodes alone.
fn job_for(names: &[&str]) -> String {
    format!("{JOB}nodes = {names:?}\nclients = {}\n", names.len())
}

#[test]
fn no_value_of_a_table_leaves_its_node_whatever_is_wrong_with_it() {
    let server = Server::start();
    let recorder = Recorder::start(server.own_address(), server.data());
    server.proxy().aim(recorder.address());
    // Three nodes that train, and one for each way to be wrong.
    let trained = ["sound-0", "sound-1", "sound-2"];
    let mut sites: Vec<Site> = trained
        .iter()
        .enumerate()
        .map(|(node, name)| site(&server, name, table(node).as_bytes()))
        .collect();
    let wrong: Vec<(&str, String)> = (broken(3).into_iter().enumerate())
        .map(|(at, (what, table))| {
            let name = format!("broken-{at:02}");
            sites.push(site(&server, &name, &table));
            (what, name)
        })
        .collect();
    sites.iter_mut().for_each(Site::run);
    server.until_online(sites.len());
    let sound = server.submit(&job_for(&trained)).id;
    let asked: Vec<(&str, String)> = (wrong.iter())
        .map(|(what, name)| (*what, server.submit(&job_for(&[name])).id))
        .collect();
    let info = server.end(&sound);
    assert_eq!(info.state, RunState::Finished, "{:?}", info.reason);
    for (what, run) in asked {
        let info = server.end(&run);
        let reason = info.reason.unwrap_or_default();
        assert_eq!(info.state, RunState::Failed, "{what}: {reason}");
        assert!(reason.contains("broken-"), "{what}: {reason}");
    }
    let sent = recorder.sent();
    // The tape has heard it all: what may be said was said.
    assert!(finds(&sent, b"PUT /v1/runs/canary-1/reports/train-2/0"));
    assert!(finds(&sent, b"pressure"));
    expect_silence(&server, &recorder, &sites, 4);
}

#[test]
fn a_word_among_numbers_that_nobody_declared_brings_no_cell_of_its_column_out() {
    let server = Server::start();
    let recorder = Recorder::start(server.own_address(), server.data());
    server.proxy().aim(recorder.address());
    let names = ["word-0", "word-1", "word-2"];
    let mut sites: Vec<Site> = (names.iter().enumerate())
        .map(|(node, name)| {
            let table = table(node)
                .replace(&number(node, 5, 0), &word(node, 5))
                .replace(&number(node, 6, 1), &word(node, 6));
            site(&server, name, table.as_bytes())
        })
        .collect();
    sites.iter_mut().for_each(Site::run);
    server.until_online(sites.len());
    let columns = "columns = { age = \"numeric\", pressure = \"numeric\" }\n";
    let undeclared = job_for(&names).replace(columns, "");
    // Every column of the file, whatever it is called.
    let unnamed = undeclared.replace("features = [\"age\", \"pressure\"]\n", "");
    let label = undeclared
        .replace(
            "label = \"sick\"\nclasses = [\"no\", \"yes\"]",
            "label = \"pressure\"",
        )
        .replace(
            "features = [\"age\", \"pressure\"]",
            "features = [\"sick\"]\ncolumns = { sick = \"categorical\" }",
        )
        .replace("kind = \"logistic\"", "kind = \"linear\"")
        .replace("[\"loss\", \"accuracy\"]", "[\"loss\"]");
    for (job, column) in [(undeclared, "age"), (unnamed, ""), (label, "pressure")] {
        let info = server.end(&server.submit(&job).id);
        let reason = info.reason.unwrap_or_default();
        assert_eq!(info.state, RunState::Failed, "{reason}");
        assert!(reason.contains("declare its kind"), "{reason}");
        assert!(reason.contains(column), "{reason}");
    }
    assert!(!finds(&recorder.sent(), b"/reports/"));
    expect_silence(&server, &recorder, &sites, names.len());
}

/// No cell of the nodes' tables is in anything that was said, logged or stored.
fn expect_silence(server: &Server, recorder: &Recorder, sites: &[Site], nodes: usize) {
    let mut said = vec![
        ("the wire".to_owned(), recorder.sent()),
        ("what came".to_owned(), recorder.received()),
    ];
    said.push(("the server's log".to_owned(), server.log().into_bytes()));
    said.extend(files(server.data()));
    for site in sites {
        // Without a header, the first row is what the owner is told of as names of columns; there, and nowhere else.
        if site.name != NO_HEADER {
            said.push((format!("the log of {}", site.name), site.log().into_bytes()));
        }
        let record = fs::read(site.folder().join("node/record.jsonl")).unwrap_or_default();
        said.push((format!("the record of {}", site.name), record));
    }
    let needles = needles(nodes);
    for (place, bytes) in said {
        let found = found(&bytes, &needles);
        assert!(
            found.is_none(),
            "{place} holds {:?}",
            String::from_utf8_lossy(found.unwrap())
        );
    }
}

/// All files below a folder, with their contents.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            // A file may go while others are read.
            false => found.push((
                path.display().to_string(),
                fs::read(&path).unwrap_or_default(),
            )),
        }
    }
    found
}

fn finds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The first of the needles that is in the bytes; one pass over them, however many needles there are.
fn found<'a>(bytes: &[u8], needles: &'a [Vec<u8>]) -> Option<&'a Vec<u8>> {
    let mut starts: HashMap<[u8; 4], Vec<&Vec<u8>>> = HashMap::new();
    for needle in needles {
        let (start, _) = needle.split_first_chunk().unwrap();
        starts.entry(*start).or_default().push(needle);
    }
    (0..bytes.len()).find_map(|at| {
        let (start, _) = bytes[at..].split_first_chunk()?;
        let candidates = starts.get(start)?.iter();
        candidates
            .copied()
            .find(|needle| bytes[at..].starts_with(needle))
    })
}
