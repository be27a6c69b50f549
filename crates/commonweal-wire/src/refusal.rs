//! Why a request was refused: a code that a program can act on, and a sentence for a log.

use commonweal_core::Refusal;

use crate::proto;
pub use crate::proto::RefusalCode;

impl RefusalCode {
    /// The HTTP status that carries it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Unspecified => 500,
            Self::Malformed | Self::Digest => 400,
            Self::UnknownNode | Self::Signature | Self::Clock | Self::Replayed | Self::Token => 401,
            Self::Revoked | Self::Unapproved | Self::NotInCohort => 403,
            Self::UnknownRun | Self::UnknownBlob => 404,
            Self::NameTaken | Self::TakenOver | Self::Offset | Self::Duplicate => 409,
            Self::Late | Self::SlotLost => 410,
            Self::TooLarge => 413,
            Self::Report => 422,
            Self::Protocol => 426,
            Self::TooMany => 429,
            Self::Unavailable => 503,
        }
    }

    /// A word for logs and for the label of a metric.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Malformed => "malformed",
            Self::Protocol => "protocol",
            Self::UnknownNode => "unknown_node",
            Self::Signature => "signature",
            Self::Clock => "clock",
            Self::Replayed => "replayed",
            Self::Revoked => "revoked",
            Self::Unapproved => "unapproved",
            Self::Token => "token",
            Self::TooMany => "too_many",
            Self::NameTaken => "name_taken",
            Self::TakenOver => "taken_over",
            Self::UnknownRun => "unknown_run",
            Self::UnknownBlob => "unknown_blob",
            Self::TooLarge => "too_large",
            Self::Digest => "digest",
            Self::Offset => "offset",
            Self::SlotLost => "slot_lost",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::Report => "report",
            Self::NotInCohort => "not_in_cohort",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Clock
                | Self::Unapproved
                | Self::TooMany
                | Self::Offset
                | Self::SlotLost
                | Self::Unavailable
        )
    }
}

impl From<&Refusal> for RefusalCode {
    /// The code of a round's refusal.
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::UnknownClient | Refusal::NotInCohort => Self::NotInCohort,
            Refusal::Duplicate => Self::Duplicate,
            Refusal::Gone
            | Refusal::Late
            | Refusal::NotNeeded
            | Refusal::OutOfOrder
            | Refusal::Over
            | Refusal::WrongTask { .. } => Self::Late,
            _ => Self::Report,
        }
    }
}

/// The body of a refusal.
#[must_use]
pub fn refusal(
    code: RefusalCode,
    message: impl Into<String>,
    server_time_ms: u64,
) -> proto::Refusal {
    proto::Refusal {
        code: code.into(),
        message: message.into(),
        server_time_ms,
        offset: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_an_error_and_has_a_word_of_its_own() {
        let mut words = BTreeSet::new();
        for number in 0.. {
            let Ok(code) = RefusalCode::try_from(number) else {
                break;
            };
            assert!((400..600).contains(&code.status()), "{code:?}");
            assert!(words.insert(code.word()), "{code:?}");
        }
        assert_eq!(words.len(), 24);
    }
}
