//! Labelled images: an idx file of images and one of labels, or pixels in a CSV file.

use crate::dataset::rows_u32;
use crate::idx::Idx;
use crate::{Bytes, Categories, Dataset, DatasetError, Features, FeaturesError, Roster};

/// Why images and labels do not make a data set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImagesError {
    /// The image file is not rows of height and width.
    #[error(
        "an image file has 3 dimensions (rows, height, width), or 4 with channels; found {found}"
    )]
    ImageDimensions {
        /// Dimensions found.
        found: usize,
    },
    /// The label file is not one number a row.
    #[error("a label file has 1 dimension; found {found} (are images and labels swapped?)")]
    LabelDimensions {
        /// Dimensions found.
        found: usize,
    },
    /// Images and labels differ in number.
    #[error("{expected} images and {found} labels; both files must come from the same set")]
    Rows {
        /// Images.
        expected: usize,
        /// Labels.
        found: usize,
    },
    /// A label is too large.
    #[error("the label of image {row} (from 0) is not below the number of classes, {classes}")]
    LabelOutOfRange {
        /// First such image, from 0.
        row: usize,
        /// Number of classes.
        classes: u32,
    },
    /// The images have no pixels.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The parts do not fit.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// Joins images (rows × height × width, or rows × channels × height × width) with their labels.
///
/// A value is `byte / 255`. With `classes` given a label at or above it is refused, without it
/// there are as many classes as the largest label says.
///
/// # Errors
/// [`ImagesError`].
pub fn labelled(images: Idx, labels: Idx, classes: Option<u32>) -> Result<Dataset, ImagesError> {
    let shape = match *images.shape.as_slice() {
        [_, height, width] => vec![1, height, width],
        [_, channels, height, width] => vec![channels, height, width],
        _ => {
            return Err(ImagesError::ImageDimensions {
                found: images.shape.len(),
            });
        }
    };
    if labels.shape.len() != 1 {
        return Err(ImagesError::LabelDimensions {
            found: labels.shape.len(),
        });
    }
    if images.shape[0] != labels.values.len() {
        let (expected, found) = (images.shape[0], labels.values.len());
        return Err(ImagesError::Rows { expected, found });
    }
    of_bytes(images.values, shape, 1.0 / 255.0, labels.values, classes)
}

/// Joins pixels in rows of `shape` (channels, height, width) with one label byte a row.
///
/// # Errors
/// [`ImagesError`].
pub fn of_bytes(
    pixels: Vec<u8>,
    shape: Vec<usize>,
    scale: f32,
    labels: Vec<u8>,
    classes: Option<u32>,
) -> Result<Dataset, ImagesError> {
    let bytes = Bytes::new(pixels, shape, scale)?;
    let largest = labels
        .iter()
        .copied()
        .max()
        .map_or(0, |label| u32::from(label) + 1);
    let classes = classes.unwrap_or(largest);
    let labels = Categories::numbered(labels.into_iter().map(u32::from).collect(), classes)
        .map_err(|row| ImagesError::LabelOutOfRange { row, classes })?;
    if labels.rows() != bytes.rows() {
        return Err(ImagesError::Rows {
            expected: bytes.rows(),
            found: labels.rows(),
        });
    }
    let roster = Roster::new(rows_u32(bytes.rows())?).with_labels(labels);
    Ok(Dataset::classified(Features::Bytes(bytes), roster)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExampleShape, Input, Target};

    fn images(rows: usize) -> Idx {
        Idx {
            shape: vec![rows, 2, 2],
            values: vec![255; rows * 4],
        }
    }

    fn labels(values: &[u8]) -> Idx {
        Idx {
            shape: vec![values.len()],
            values: values.to_vec(),
        }
    }

    #[test]
    fn images_have_channels_first_and_values_from_0_to_1() {
        let data = labelled(images(2), labels(&[1, 0]), Some(10)).expect("parts fit");
        let shape = ExampleShape {
            input: Input::Values(vec![1, 2, 2]),
            target: Target::Classes(10),
        };
        assert_eq!(data.shape(), shape);
        let mut out = [0.0; 4];
        data.fill(&[1], &mut out);
        assert_eq!(out, [1.0; 4]);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let rows = ImagesError::Rows {
            expected: 2,
            found: 3,
        };
        assert_eq!(labelled(images(2), labels(&[0, 0, 0]), None), Err(rows));
        let swapped = ImagesError::ImageDimensions { found: 1 };
        assert_eq!(labelled(labels(&[0, 0]), images(2), None), Err(swapped));
        let images_twice = ImagesError::LabelDimensions { found: 3 };
        assert_eq!(labelled(images(2), images(2), None), Err(images_twice));
    }

    #[test]
    fn a_label_out_of_range_names_its_image() {
        let refused = ImagesError::LabelOutOfRange {
            row: 1,
            classes: 10,
        };
        assert_eq!(
            labelled(images(2), labels(&[9, 10]), Some(10)),
            Err(refused)
        );
    }
}
