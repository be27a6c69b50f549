//! Blocks of consecutive windows of one text, such that no two blocks share a character of it.
//!
//! LEAF cuts a user's text into windows that overlap (by all but one character, for Shakespeare), and
//! says nothing of where they lie. That follows from the windows: one begins with what the one before
//! ends with.

use crate::text::Speech;

/// How far after a block's first window its other windows may begin, in lengths of a window. A window's
/// length of windows is lost between two blocks, so of a long text a fifth.
const BLOCK: usize = 4;

/// The block of each window, counted from 0; none for a window that reaches from one block into the next,
/// and so can be on no side of a split.
///
/// Windows of two clients, or that do not overlap, are of two blocks. Nothing is lost of a text that is
/// one block. Cost: at worst the square of a window's length for each window.
pub(super) fn blocks(windows: &[Speech]) -> Vec<Option<u32>> {
    let mut blocks: Vec<Option<u32>> = Vec::with_capacity(windows.len());
    let mut open = Open::default();
    for (index, window) in windows.iter().enumerate() {
        let length = window.text.len();
        let before = index.checked_sub(1).map(|before| &windows[before]);
        let shared = before.map_or(0, |before| overlap(before, window));
        if shared == 0 {
            // What lies between the last block and the end of its text can as well belong to it.
            blocks[open.gap..].fill(Some(open.block));
            open = Open::at(index, 0, length, open.block + u32::from(index > 0));
            blocks.push(Some(open.block));
            continue;
        }
        open.position += before.map_or(0, |before| before.text.len()) - shared;
        if open.position < open.start + BLOCK * length {
            open.end = open.position + length;
            open.gap = index + 1;
            blocks.push(Some(open.block));
        } else if open.position < open.end {
            blocks.push(None);
        } else {
            open = Open::at(index, open.position, length, open.block + 1);
            blocks.push(Some(open.block));
        }
    }
    blocks[open.gap..].fill(Some(open.block));
    blocks
}

/// The block that windows are added to. Positions are bytes from the start of the text.
#[derive(Default)]
struct Open {
    block: u32,
    /// Where its first window begins.
    start: usize,
    /// Where its last window ends.
    end: usize,
    /// Where the window read last begins.
    position: usize,
    /// Number of the first window after it.
    gap: usize,
}

impl Open {
    fn at(index: usize, position: usize, length: usize, block: u32) -> Self {
        Self {
            block,
            start: position,
            end: position + length,
            position,
            gap: index + 1,
        }
    }
}

/// The bytes that `next` begins with and `window` of the same client ends with, as many as can be.
fn overlap(window: &Speech, next: &Speech) -> usize {
    if window.client != next.client {
        return 0;
    }
    let (window, next) = (window.text.as_bytes(), next.text.as_bytes());
    (1..=window.len().min(next.len()))
        .rev()
        .find(|&shared| window.ends_with(&next[..shared]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Windows of a text in which every character is another.
    fn windows(client: &str, characters: u32, length: u32, stride: u32) -> Vec<Speech> {
        let character = |at: u32| char::from_u32(0x4e00 + at).expect("a character");
        (0..=characters - length)
            .step_by(stride as usize)
            .map(|start| Speech {
                client: Some(client.to_owned()),
                text: (start..start + length).map(character).collect(),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn no_two_blocks_share_a_character(characters in 10_u32..150, stride in 1_u32..8) {
            let windows = windows("a", characters, 6, stride);
            let blocks = blocks(&windows);
            for (window, block) in windows.iter().zip(&blocks) {
                for (other, of_other) in windows.iter().zip(&blocks) {
                    let is_shared = window.text.chars().any(|one| other.text.contains(one));
                    let are_apart = block.is_some() && of_other.is_some() && block != of_other;
                    prop_assert!(!(is_shared && are_apart));
                }
            }
        }
    }

    #[test]
    fn of_a_long_text_a_fifth_is_between_the_blocks() {
        let blocks = blocks(&windows("a", 5_000, 10, 1));
        let lost = blocks.iter().filter(|block| block.is_none()).count();
        assert!(lost * 5 <= blocks.len(), "{lost} of {}", blocks.len());
        assert!(blocks.last() > Some(&Some(90)));
    }

    #[test]
    fn windows_apart_and_short_texts_lose_nothing() {
        let apart = blocks(&windows("a", 40, 10, 10));
        assert_eq!(apart, [Some(0), Some(1), Some(2), Some(3)]);
        let two = [windows("a", 45, 10, 1), windows("b", 12, 10, 1)].concat();
        let of_two = blocks(&two);
        assert!(of_two[..36].iter().all(|&block| block == Some(0)));
        assert_eq!(of_two[36..], [Some(1); 3]);
        assert_eq!(blocks(&[]), []);
    }
}
