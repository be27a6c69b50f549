//! Clipping a vector to a largest L2 norm: `FlatClip` of McMahan, Ramage, Talwar and Zhang 2018,
//! "Learning Differentially Private Recurrent Language Models" (arXiv:1710.06963).

/// Largest L2 norm one client's update may have, in the update's own units. Finite and above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct ClippingNorm(f64);

/// Why a number is no clipping norm.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a clipping norm is a finite number above 0, but {found} was given")]
pub struct ClippingNormError {
    /// The number.
    pub found: f64,
}

/// A value of an update is NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("value {index} of the update is not a finite number")]
pub struct NonFinite {
    /// Index of the first such value.
    pub index: usize,
}

impl ClippingNorm {
    /// The norm.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for ClippingNorm {
    type Error = ClippingNormError;

    fn try_from(norm: f64) -> Result<Self, ClippingNormError> {
        match norm.is_finite() && norm > 0.0 {
            true => Ok(Self(norm)),
            false => Err(ClippingNormError { found: norm }),
        }
    }
}

/// Scales `update` so that its L2 norm is at most `bound`; returns the norm it came with.
///
/// Length is cut and direction kept. The norm is summed in `f64`: a million `f32` squares lose digits that
/// the bound relies on. Scaled values are rounded towards zero, so that rounding cannot lengthen the update.
///
/// # Errors
/// [`NonFinite`] if a value is NaN or infinite; `update` is then untouched.
pub fn clip_l2(update: &mut [f32], bound: ClippingNorm) -> Result<f64, NonFinite> {
    if let Some(index) = update.iter().position(|value| !value.is_finite()) {
        return Err(NonFinite { index });
    }
    let norm = l2_norm(update);
    if norm > bound.0 {
        // A little less than the quotient, for the rounding of the norm itself.
        let factor = bound.0 / norm * (1.0 - f64::EPSILON * 1024.0);
        update
            .iter_mut()
            .for_each(|value| *value = towards_zero(f64::from(*value) * factor));
    }
    Ok(norm)
}

/// The `f32` next to `value` that is not larger in magnitude.
fn towards_zero(value: f64) -> f32 {
    let nearest = value as f32;
    match f64::from(nearest).abs() > value.abs() {
        true => f32::from_bits(nearest.to_bits() - 1),
        false => nearest,
    }
}

/// The square root of the sum of squares. Eight partial sums, so that the compiler may use vector registers.
fn l2_norm(values: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (blocks, rest) = values.as_chunks::<8>();
    for block in blocks {
        for (sum, &value) in sums.iter_mut().zip(block) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(value) * f64::from(value);
    }
    libm::sqrt(sums.iter().sum())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn norm(value: f64) -> ClippingNorm {
        ClippingNorm::try_from(value).unwrap()
    }

    #[test]
    fn a_long_update_is_cut_to_the_bound_and_keeps_its_direction() {
        let mut update = [3.0, -4.0];
        assert_eq!(clip_l2(&mut update, norm(1.0)), Ok(5.0));
        assert!(
            (update[0] - 0.6).abs() < 1e-6 && (update[1] + 0.8).abs() < 1e-6,
            "{update:?}"
        );
    }

    #[test]
    fn a_short_update_is_left_as_it_is() {
        let mut update = [3.0, -4.0];
        assert_eq!(clip_l2(&mut update, norm(5.0)), Ok(5.0));
        assert_eq!(update, [3.0, -4.0]);
    }

    #[test]
    fn an_update_that_is_not_finite_is_refused_untouched() {
        let mut update = [30.0, f32::INFINITY];
        assert_eq!(clip_l2(&mut update, norm(1.0)), Err(NonFinite { index: 1 }));
        assert_eq!(update, [30.0, f32::INFINITY]);
    }

    #[test]
    fn the_smallest_number_is_cut_to_nothing() {
        let mut update = [f32::from_bits(1)];
        clip_l2(&mut update, norm(1e-46)).unwrap();
        assert_eq!(update, [0.0]);
    }

    #[test]
    fn a_norm_is_finite_and_above_zero() {
        for found in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(
                ClippingNorm::try_from(found),
                Err(ClippingNormError { found })
            );
        }
        assert!(ClippingNorm::try_from(f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn no_clipped_update_is_longer_than_the_bound(
            mut update in proptest::collection::vec(-1e30_f32..1e30, 0..100),
            bound in 1e-30_f64..1e30,
        ) {
            clip_l2(&mut update, norm(bound)).unwrap();
            let squares: f64 = update.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
            prop_assert!(libm::sqrt(squares) <= bound);
        }
    }
}
