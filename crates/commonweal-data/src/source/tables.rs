//! CSV files read as one table: a folder of files with one header is one data set.

use commonweal_core::job::Data;

use super::{Contents, ReadError, Source};
use crate::Categories;
use crate::archive::File;
use crate::series;
use crate::table::{self, Schema, Table};

pub(super) fn read_csv(data: &Data, contents: &Contents) -> Result<Source, ReadError> {
    let (train, test) = read(data, contents)?;
    Ok(match test {
        None => train.into(),
        Some(test) => train.with_own_test(test)?.into(),
    })
}

pub(super) fn read_series(data: &Data, contents: &Contents) -> Result<Source, ReadError> {
    let key = "data.windows.series, length and stride";
    let cut = data.windows.as_ref().ok_or(ReadError::NoCut { key })?;
    let (train, test) = read(data, contents)?;
    let windows = series::windows(&train, cut)?;
    Ok(match test {
        None => windows.into(),
        Some(test) => windows.with_own_test(series::windows(&test, cut)?)?.into(),
    })
}

/// The rows for training, and those of the test files, under the schema of the former.
///
/// Of several files without a client column each is a client by its stem: `oslo` for `oslo.csv.gz`.
/// Test files are those clients' too, if each has the stem of one for training.
fn read(data: &Data, contents: &Contents) -> Result<(Table, Option<Table>), ReadError> {
    let schema = Schema::of_all(data, bytes(&contents.main)).map_err(|(place, source)| {
        let name = name(&contents.main, place);
        ReadError::Schema { name, source }
    })?;
    let is_by_file = data.client.is_none() && contents.main.len() > 1;
    let is_known = |test: &File| contents.main.iter().any(|file| stem(file) == stem(test));
    let train = joined(&contents.main, &schema, is_by_file)?;
    let test = match &contents.test[..] {
        [] => None,
        files => Some(joined(
            files,
            &schema,
            is_by_file && files.iter().all(is_known),
        )?),
    };
    Ok((train, test))
}

fn joined(files: &[File], schema: &Schema, is_by_file: bool) -> Result<Table, ReadError> {
    let (mut table, ends) =
        table::read_all(bytes(files), schema).map_err(|(place, source)| ReadError::Csv {
            name: name(files, place),
            source,
        })?;
    if is_by_file {
        let client = |row: usize| stem(&files[ends.partition_point(|&end| end <= row)]);
        let clients = Categories::of((0..table.rows() as usize).map(client));
        // Equal names in the files of two clients are two series.
        table.series = table.series.as_ref().map(|series| {
            let own = |row: usize| format!("{}/{}", clients.name(row), series.name(row));
            let names: Vec<String> = (0..series.rows()).map(own).collect();
            Categories::of(names.iter().map(String::as_str))
        });
        table.roster = table.roster.with_clients(clients);
    }
    Ok(table)
}

fn bytes(files: &[File]) -> impl Iterator<Item = &[u8]> {
    files.iter().map(|file| &file.bytes[..])
}

fn name(files: &[File], place: usize) -> String {
    files
        .get(place)
        .map(|file| file.name.clone())
        .unwrap_or_default()
}

fn stem(file: &File) -> &str {
    let name = file.name.strip_suffix(".gz").unwrap_or(&file.name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Job;

    use super::*;
    use crate::Roster;

    fn data(lines: &str) -> Data {
        let text = format!(
            "name = \"t\"\nrounds = 1\n[data]\npath = \"folder\"\n{lines}\n[model]\nkind = \"logistic\"\n"
        );
        Job::parse(&text).expect("a sound job").data
    }

    fn files(files: &[(&str, &str)]) -> Vec<File> {
        let file = |&(name, text): &(&str, &str)| File {
            name: name.to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        files.iter().map(file).collect()
    }

    fn source(
        lines: &str,
        main: &[(&str, &str)],
        test: &[(&str, &str)],
    ) -> Result<Source, ReadError> {
        let contents = Contents {
            main: files(main),
            test: files(test),
            ..Contents::default()
        };
        Source::read(&data(lines), &contents)
    }

    fn clients(roster: &Roster) -> Option<Vec<&str>> {
        let clients = roster.clients()?;
        Some((0..clients.rows()).map(|row| clients.name(row)).collect())
    }

    const OSLO: (&str, &str) = ("oslo.csv", "x,y\n1,a\n2,b\n");
    const BERGEN: (&str, &str) = ("bergen.csv", "x,y\nhigh,a\n");

    #[test]
    fn every_file_of_a_folder_is_read_and_is_a_client() {
        let both = source("label = \"y\"", &[BERGEN, OSLO], &[]).expect("one header");
        assert_eq!(clients(both.roster()), Some(vec!["bergen", "oslo", "oslo"]));
        let Source::Table(table) = &both else {
            panic!("CSV is a table")
        };
        // One cell of one file is no number, so the column is none.
        let kind = &table.schema().features[0].kind;
        assert!(matches!(kind, table::FeatureKind::Categorical { .. }));
        assert_eq!(table.lines(), [2, 2, 3]);
    }

    #[test]
    fn one_file_alone_names_no_client_and_a_client_column_counts_more_than_files() {
        let one = source("label = \"y\"", &[OSLO], &[]).expect("sound");
        assert_eq!(clients(one.roster()), None);
        let ward = [("a.csv", "x,w,y\n1,u,a\n"), ("b.csv", "x,w,y\n1,v,b\n")];
        let named = source("label = \"y\"\nclient = \"w\"", &ward, &[]).expect("sound");
        assert_eq!(clients(named.roster()), Some(vec!["u", "v"]));
    }

    #[test]
    fn a_test_file_belongs_to_the_client_of_its_name_or_to_nobody() {
        let of = |test| source("label = \"y\"", &[BERGEN, OSLO], test).expect("sound");
        let own = of(&[("oslo.csv.gz", "x,y\n3,a\n")]);
        let expected = vec!["bergen", "oslo", "oslo", "oslo"];
        assert_eq!(clients(own.roster()), Some(expected));
        let other = of(&[("test.csv", "x,y\n3,a\n")]);
        assert_eq!(
            (other.roster().own_test(), clients(other.roster())),
            (&[3][..], None)
        );
    }

    #[test]
    fn a_fault_names_the_file_that_has_it() {
        let refused = |second: &str, lines: &str| {
            source(lines, &[OSLO, ("tromso.csv", second)], &[])
                .expect_err("refused")
                .to_string()
        };
        let header = refused("x,z\n1,a\n", "label = \"y\"");
        assert!(header.starts_with("tromso.csv: line 1: "), "{header}");
        assert!(header.contains("has: x, y; this one has: x, z"), "{header}");
        let ragged = refused("x,y\n1,a\n1\n", "label = \"y\"");
        assert!(ragged.starts_with("tromso.csv: line 3: "), "{ragged}");
        let class = refused("x,y\n1,c\n", "label = \"y\"\nclasses = [\"a\", \"b\"]");
        assert!(
            class.starts_with("tromso.csv: line 2, column `y`"),
            "{class}"
        );
    }

    #[test]
    fn equal_series_of_two_files_are_two_series() {
        let cut = "label = \"y\"\nfeatures = [\"x\"]\nformat = \"series\"\n\
            windows = { series = \"s\", length = 2, stride = 1 }";
        let series = "s,x,y\n1,1,a\n1,2,a\n";
        let both = source(cut, &[("a.csv", series), ("b.csv", series)], &[]).expect("sound");
        assert_eq!(clients(both.roster()), Some(vec!["a", "b"]));
        let groups = both.roster().groups().map(|groups| groups.codes().to_vec());
        assert_eq!(groups, Some(vec![0, 1]));
    }

    #[test]
    fn several_files_of_a_layout_that_has_one_are_refused_by_name() {
        let both = [("a.idx", ""), ("b.idx", "")];
        let error = source("format = \"idx\"", &both, &[]).expect_err("two files");
        assert!(
            error
                .to_string()
                .starts_with("a.idx, b.idx are several files"),
            "{error}"
        );
    }
}
