//! The first line of a CSV file, with other names for its columns.

use std::collections::BTreeMap;

/// Gives columns of a CSV file, plain text, the names that `names` has for them. The lines below stay as they are.
///
/// # Errors
/// The first name that the file does not have. A file whose first line cannot be read is left as it is: its reader
/// says what is wrong.
pub(crate) fn rename(
    bytes: &mut Vec<u8>,
    delimiter: char,
    names: &BTreeMap<String, String>,
) -> Result<(), String> {
    let Ok(delimiter) = u8::try_from(delimiter) else {
        return Ok(());
    };
    let start = if bytes.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(&bytes[start..]);
    let mut header = csv::StringRecord::new();
    if !reader.read_record(&mut header).unwrap_or(false) {
        return Ok(());
    }
    if let Some(missing) = names
        .keys()
        .find(|name| !header.iter().any(|column| column == *name))
    {
        return Err(missing.clone());
    }
    let mut end = start + reader.position().byte() as usize;
    // Of a line that ends with both, the reader may have left the second.
    if bytes.get(end) == Some(&b'\n') && bytes.get(end - 1) == Some(&b'\r') {
        end += 1;
    }
    let renamed = header
        .iter()
        .map(|column| names.get(column).map_or(column, String::as_str));
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    let line = writer
        .write_record(renamed)
        .ok()
        .and_then(|()| writer.into_inner().ok());
    if let Some(line) = line {
        bytes.splice(..end, line);
    }
    Ok(())
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(text: &str, delimiter: char) -> Result<String, String> {
        let names = [("Alter", "age"), ("Größe, cm", "height")];
        let names = names.map(|(from, to)| (from.to_owned(), to.to_owned()));
        let mut bytes = text.as_bytes().to_vec();
        rename(&mut bytes, delimiter, &names.into())?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn columns_get_the_jobs_names_and_the_rows_stay_as_they_are() {
        let rows = "1,\"a,\n\"\"b\",180\n";
        for header in [
            "Alter,x,\"Größe, cm\"\n",
            "\u{feff}\"Alter\",x,\"Größe, cm\"\r\n",
        ] {
            let text = renamed(&format!("{header}{rows}"), ',').unwrap();
            assert_eq!(text, format!("age,x,height\n{rows}"));
        }
        assert_eq!(
            renamed("Alter;Größe, cm\n1;2", ';').unwrap(),
            "age;height\n1;2"
        );
    }

    #[test]
    fn a_name_that_the_file_does_not_have_is_told() {
        assert_eq!(renamed("Alter,x\n1,2\n", ','), Err("Größe, cm".to_owned()));
    }
}
