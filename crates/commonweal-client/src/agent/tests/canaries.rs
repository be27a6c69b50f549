//! Nothing of the data is in any sent byte, however the data break the schema.

use commonweal_core::job::Job;
use commonweal_wire::proto::{UnfitCode, verdict};

use super::fixture::{LOGISTIC, Site, job, ward};

/// Values that would give their rows away. Each is in no other text of the test.
const CANARIES: [&str; 6] = [
    "8675309",
    "canary-level",
    "canary-class",
    "canary-name",
    "2718281828",
    "kanarie",
];

/// A file that breaks what the job says, and what the server is told of it.
struct Broken {
    what: &'static str,
    file: Vec<u8>,
    code: UnfitCode,
    column: &'static str,
    line: u64,
}

fn broken() -> Vec<Broken> {
    let rows = |lines: &str| {
        format!("age,sex,ill\n8675309,canary-level,canary-class\n{lines}").into_bytes()
    };
    let case = |what, file: Vec<u8>, code, column, line| Broken {
        what,
        file,
        code,
        column,
        line,
    };
    vec![
        case(
            "no header: values are the names",
            "8675309,canary-level,canary-class\n1,2,3\n".into(),
            UnfitCode::Schema,
            "ill",
            0,
        ),
        case(
            "no header, and a value twice",
            "canary-name,canary-name,ill\n1,2,3\n".into(),
            UnfitCode::Schema,
            "",
            1,
        ),
        case(
            "a column is missing",
            "age,ill\n8675309,canary-class\n".into(),
            UnfitCode::Schema,
            "sex",
            0,
        ),
        case(
            "text where a number is declared",
            rows("canary-name,f,yes\n"),
            UnfitCode::Cell,
            "age",
            3,
        ),
        case(
            "a number beyond 32 bits",
            rows("2718281828e99,f,yes\n"),
            UnfitCode::Cell,
            "age",
            3,
        ),
        case("no value", rows(",f,yes\n"), UnfitCode::Cell, "age", 3),
        case("no class", rows("1,f,\n"), UnfitCode::Cell, "ill", 3),
        case(
            "a field too many",
            rows("1,f,yes,canary-name\n"),
            UnfitCode::Unreadable,
            "",
            3,
        ),
        case(
            "a quote that is never closed",
            rows("1,\"canary-name,yes\n"),
            UnfitCode::Unreadable,
            "",
            3,
        ),
        case("no row", "age,sex,ill\n".into(), UnfitCode::Rows, "", 0),
        case("nothing at all", "\n".into(), UnfitCode::Unreadable, "", 0),
        case(
            "a packed file that is damaged",
            b"\x1f\x8bcanary-name".into(),
            UnfitCode::Unreadable,
            "",
            0,
        ),
    ]
}

fn silent(site: &Site, what: &str) {
    let heard = site.server.script().heard.clone();
    for canary in CANARIES {
        let is_there = heard
            .windows(canary.len())
            .any(|window| window == canary.as_bytes());
        assert!(!is_there, "{what}: {canary} was sent");
    }
}

#[test]
fn a_file_that_breaks_the_schema_gives_codes_columns_and_lines_and_no_value() {
    let site = Site::willing();
    let running = site.start();
    for (at, case) in broken().into_iter().enumerate() {
        std::fs::write(site.data(), &case.file).unwrap();
        site.offer(&job(LOGISTIC), at as u64);
        let verdict::Kind::Unfit(unfit) = site.verdict(at) else {
            panic!("{}", case.what);
        };
        let told = (unfit.code(), unfit.column.as_str(), unfit.line);
        assert_eq!(told, (case.code, case.column, case.line), "{}", case.what);
        silent(&site, case.what);
    }
    running.stop().unwrap();
}

#[test]
fn a_column_that_only_the_file_names_is_never_told() {
    // Everything but the label is a feature, whatever it is called: a file without a header has values for names.
    let site = Site::willing();
    let running = site.start();
    let text = "name = \"ward\"\nrounds = 1\n[data]\npath = \"x.csv\"\nlabel = \"ill\"\nmissing = \"refuse\"\n\
         [deployment]\ndata = \"ward\"\nclients = 1\n[model]\nkind = \"logistic\"\n";
    std::fs::write(site.data(), "kanarie,ill\n1,yes\n,no\n").unwrap();
    site.offer(&Job::parse(text).unwrap(), 1);
    let verdict::Kind::Unfit(unfit) = site.verdict(0) else {
        panic!("a value is missing");
    };
    assert_eq!(
        (unfit.code(), unfit.column.as_str(), unfit.line),
        (UnfitCode::Cell, "", 3)
    );
    silent(&site, "a column of the file alone");
    running.stop().unwrap();
}

#[test]
fn a_word_in_a_column_of_numbers_that_the_job_does_not_declare_makes_no_level_of_its_cells() {
    let site = Site::willing();
    let running = site.start();
    let cases = [
        ("label = \"ill\"\nfeatures = [\"age\"]", "logistic", "age"),
        // A column that only the file names is not named.
        ("label = \"ill\"\ndrop = [\"sex\"]", "logistic", ""),
        (
            "label = \"age\"\nfeatures = [\"ill\"]\ncolumns = { ill = \"categorical\" }",
            "linear",
            "age",
        ),
    ];
    let word = "8675309,canary-level,yes\ncanary-name,canary-level,no\n";
    std::fs::write(site.data(), ward() + word).unwrap();
    for (at, (data, model, column)) in cases.into_iter().enumerate() {
        let text = format!(
            "name = \"ward\"\nrounds = 1\n[data]\npath = \"x.csv\"\n{data}\n\
             [deployment]\ndata = \"ward\"\nclients = 1\n[model]\nkind = \"{model}\"\n"
        );
        site.offer(&Job::parse(&text).unwrap(), at as u64);
        let verdict::Kind::Unfit(unfit) = site.verdict(at) else {
            panic!("{data}");
        };
        let told = (unfit.code(), unfit.column.as_str(), unfit.line);
        assert_eq!(told, (UnfitCode::Undeclared, column, 0), "{data}");
        silent(&site, data);
        let request = site.requests().find(super::fixture::RUN).unwrap();
        let text = format!("{:?}", request.decision);
        assert!(text.contains("declare"), "{text}");
    }
    running.stop().unwrap();
}

#[test]
fn data_that_fit_are_said_in_names_and_kinds() {
    let site = Site::willing();
    std::fs::write(site.data(), ward() + "8675309,canary-level,canary-class\n").unwrap();
    let running = site.start();
    site.approved(&job(LOGISTIC));
    running.stop().unwrap();
    silent(&site, "an approval");
}
