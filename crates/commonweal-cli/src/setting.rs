//! `--set key=value`: one value of the job file, given on the command line.

use std::str::FromStr;

use thiserror::Error;

/// A dotted key and the text of its value, as TOML or as a bare word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Such as `training.optimizer.learning_rate`.
    pub key: String,
    /// Such as `0.05`, `"fed_avg"`, `fed_avg`, `[200, 200]`.
    pub value: String,
}

/// Why a text is no setting.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected key=value, such as training.batch_size=20, found {found:?}")]
pub struct SettingError {
    /// The text.
    pub found: String,
}

impl FromStr for Setting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let error = || SettingError {
            found: text.to_owned(),
        };
        let (key, value) = text.split_once('=').ok_or_else(error)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() || key.split('.').any(str::is_empty) {
            return Err(error());
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_equals_sign_divides() {
        let setting: Setting = "data.text.client_pattern = a=b".parse().unwrap();
        assert_eq!(setting.key, "data.text.client_pattern");
        assert_eq!(setting.value, "a=b");
    }

    #[test]
    fn a_setting_without_key_or_value_is_refused() {
        for text in ["rounds", "=3", "rounds=", "a..b=1", ".=1", ""] {
            assert!(text.parse::<Setting>().is_err(), "{text}");
        }
    }
}
