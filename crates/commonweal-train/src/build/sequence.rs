//! Layers on tokens and sequences.

use super::{Builder, Place};
use crate::error::ModelError;
use crate::initial::Initial;
use crate::layer::{Embedding, Last, Layer, Lstm};
use crate::shape::Shape;

impl Builder {
    pub(super) fn embedding(&mut self, place: Place<'_>, dimension: u32) -> Result<(), ModelError> {
        let (time, vocabulary) = match self.shape() {
            Shape::Tokens { time, vocabulary } => (time, vocabulary),
            found => return Err(place.refuse(found, "it must come first, and needs tokens")),
        };
        let dimension = dimension as usize;
        self.tensor(place, "weight", &[vocabulary, dimension], Initial::Normal);
        self.torch(place, format!("nn.Embedding({vocabulary}, {dimension})"));
        let shape = Shape::Sequence {
            time,
            features: dimension,
        };
        self.push(Layer::Embedding(Embedding { dimension }), shape, 1);
        Ok(())
    }

    pub(super) fn lstm(
        &mut self,
        place: Place<'_>,
        hidden: u32,
        sequences: bool,
    ) -> Result<(), ModelError> {
        let (time, inputs) = match self.shape() {
            Shape::Sequence { time, features } => (time, features),
            found => {
                return Err(place.refuse(
                    found,
                    "it needs a sequence: tokens through \"embedding\", or windows of a series",
                ));
            }
        };
        let hidden = hidden as usize;
        let initial = Initial::torch(hidden);
        self.tensor(place, "weight_ih_l0", &[4 * hidden, inputs], initial);
        self.tensor(place, "weight_hh_l0", &[4 * hidden, hidden], initial);
        self.tensor(place, "bias_ih_l0", &[4 * hidden], initial);
        self.tensor(place, "bias_hh_l0", &[4 * hidden], initial);
        let class = if sequences { "Lstm" } else { "LastLstm" };
        self.torch(
            place,
            format!("{class}({inputs}, {hidden}, batch_first=True)"),
        );
        let shape = Shape::Sequence {
            time,
            features: hidden,
        };
        self.push(
            Layer::Lstm(Lstm {
                time,
                inputs,
                hidden,
            }),
            shape,
            4,
        );
        if !sequences {
            self.push(Layer::Last(Last), Shape::Vector { features: hidden }, 0);
        }
        Ok(())
    }
}
