//! Examples given as slices rather than as rows of a data set.

/// Some examples and what a model should say of them.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a, T> {
    /// How many.
    pub examples: usize,
    /// What goes in, examples first.
    pub inputs: Inputs<'a, T>,
    /// What should come out, examples first.
    pub goal: Goal<'a, T>,
}

/// Inputs of a batch.
#[derive(Debug, Clone, Copy)]
pub enum Inputs<'a, T> {
    /// Values, the last axis of the example's shape fastest.
    Values(&'a [T]),
    /// Token numbers.
    Tokens(&'a [u32]),
}

/// What a model should say.
#[derive(Debug, Clone, Copy)]
pub enum Goal<'a, T> {
    /// A class an example, or a token a position.
    Labels(&'a [u32]),
    /// A value an example.
    Values(&'a [T]),
}
