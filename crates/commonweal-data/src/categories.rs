//! A column of names stored as codes: labels, natural clients, groups and categorical features.

use std::sync::Arc;

/// One name per row, each distinct name stored once.
///
/// Names are distinct and in byte order, so equal columns have equal codes whatever order their
/// rows came in. Cheap to clone: both parts are shared. Four bytes a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Categories {
    names: Arc<[Box<str>]>,
    codes: Arc<[u32]>,
}

impl Categories {
    /// Codes `rows` in the byte order of their distinct values. `O(n log n)` comparisons of names.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a str>) -> Self {
        let mut first_seen = Interner::default();
        let codes: Vec<u32> = rows.into_iter().map(|name| first_seen.code(name)).collect();
        first_seen.finish(codes)
    }

    /// Names `"0"`, `"1"`, … for `codes`, in numeric order and whether they occur or not.
    ///
    /// The one exception to byte order: classes that are numbers keep their own value as code.
    /// Returns the first row whose code is not below `classes`.
    ///
    /// # Errors
    /// The row number of the first code out of range.
    pub fn numbered(codes: Vec<u32>, classes: u32) -> Result<Self, usize> {
        match codes.iter().position(|&code| code >= classes) {
            Some(row) => Err(row),
            None => Ok(Self {
                names: (0..classes).map(|code| code.to_string().into()).collect(),
                codes: codes.into(),
            }),
        }
    }

    /// Names `"0"` for false and `"1"` for true, whether both occur or not.
    pub fn flags(rows: impl IntoIterator<Item = bool>) -> Self {
        let codes = rows.into_iter().map(u32::from).collect();
        Self {
            names: ["0".into(), "1".into()].into(),
            codes,
        }
    }

    /// One name for all of `rows`.
    pub fn single(name: &str, rows: usize) -> Self {
        Self {
            names: [name.into()].into(),
            codes: vec![0; rows].into(),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.codes.len()
    }

    /// The distinct names; a code is an index into them.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// One code per row.
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// The codes, shared.
    pub fn shared_codes(&self) -> Arc<[u32]> {
        Arc::clone(&self.codes)
    }

    /// The name of `row`.
    pub fn name(&self, row: usize) -> &str {
        &self.names[self.codes[row] as usize]
    }

    /// The rows of `self`, then those of `other`, under the union of both sets of names.
    ///
    /// Sets with the same names keep their order; otherwise the union is put in byte order.
    pub fn then(&self, other: &Self) -> Self {
        if self.names == other.names {
            return Self {
                names: Arc::clone(&self.names),
                codes: self
                    .codes
                    .iter()
                    .chain(other.codes.iter())
                    .copied()
                    .collect(),
            };
        }
        let names = |of: &Self| (0..of.rows()).map(|row| of.name(row).to_owned()).collect();
        let (first, second): (Vec<String>, Vec<String>) = (names(self), names(other));
        Self::of(first.iter().chain(&second).map(String::as_str))
    }

    /// The same rows coded by the position of their name in `names`.
    ///
    /// # Errors
    /// The number of the first row whose name is not among them.
    pub fn under<S: AsRef<str>>(&self, names: &[S]) -> Result<Self, usize> {
        self.under_where(names, |_| true)
    }

    /// As [`Self::under`], but where a row is not used, a name that is not among them is code 0.
    ///
    /// # Errors
    /// The number of the first row that is used and whose name is not among them.
    pub(crate) fn under_where<S: AsRef<str>>(
        &self,
        names: &[S],
        is_used: impl Fn(usize) -> bool,
    ) -> Result<Self, usize> {
        let position = |name: &str| {
            names
                .iter()
                .position(|other| other.as_ref() == name)
                .map(|at| at as u32)
        };
        let renumbered: Vec<Option<u32>> = self.names.iter().map(|name| position(name)).collect();
        let codes: Result<Arc<[u32]>, usize> = self
            .codes
            .iter()
            .enumerate()
            .map(|(row, &code)| match renumbered[code as usize] {
                None if is_used(row) => Err(row),
                code => Ok(code.unwrap_or(0)),
            })
            .collect();
        Ok(Self {
            names: names.iter().map(|name| name.as_ref().into()).collect(),
            codes: codes?,
        })
    }

    /// The same codes under other names: code `i` is called `names[i]`.
    ///
    /// # Errors
    /// The number of the first row whose code has no name.
    pub fn renamed(&self, names: &[String]) -> Result<Self, usize> {
        match self
            .codes
            .iter()
            .position(|&code| code as usize >= names.len())
        {
            Some(row) => Err(row),
            None => Ok(Self {
                names: names.iter().map(|name| name.as_str().into()).collect(),
                codes: Arc::clone(&self.codes),
            }),
        }
    }

    /// The same rows with `keep`'s only, in that order.
    pub fn select(&self, keep: &[u32]) -> Self {
        Self {
            names: Arc::clone(&self.names),
            codes: keep.iter().map(|&row| self.codes[row as usize]).collect(),
        }
    }
}

/// Gives codes to names in the order they are first seen; `finish` puts them in byte order.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    codes: std::collections::BTreeMap<Box<str>, u32>,
}

impl Interner {
    /// The code of `name`, a new one if it was not seen before.
    pub(crate) fn code(&mut self, name: &str) -> u32 {
        if let Some(&code) = self.codes.get(name) {
            return code;
        }
        let code = self.codes.len() as u32;
        self.codes.insert(name.into(), code);
        code
    }

    /// `codes` as given by [`Interner::code`], renumbered in the byte order of the names.
    pub(crate) fn finish(self, mut codes: Vec<u32>) -> Categories {
        let mut renumbered = vec![0; self.codes.len()];
        for (code, &first_seen) in self.codes.values().enumerate() {
            renumbered[first_seen as usize] = code as u32;
        }
        for code in &mut codes {
            // A code that was never given stands for a missing cell and stays.
            *code = renumbered.get(*code as usize).copied().unwrap_or(*code);
        }
        Categories {
            names: self.codes.into_keys().collect(),
            codes: codes.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_byte_order_and_not_first_sight() {
        let column = Categories::of(["b", "a", "c", "a"]);
        assert_eq!(column.codes(), [1, 0, 2, 0]);
        assert_eq!(column.name(2), "c");
    }

    #[test]
    fn joining_two_columns_equals_coding_them_together() {
        let joined = Categories::of(["b", "a"]).then(&Categories::of(["c", "b"]));
        assert_eq!(joined, Categories::of(["b", "a", "c", "b"]));
    }

    #[test]
    fn a_number_beyond_the_classes_names_its_row() {
        assert_eq!(Categories::numbered(vec![0, 9, 10], 10), Err(2));
    }
}
