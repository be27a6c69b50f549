//! Readers, partitioners and embedded data for federated learning.
//!
//! Parses byte slices and `Read` values; opening paths belongs to the rooms above. No error of this
//! crate contains a value, a category or a line of the data: only codes, column names, and line and
//! row numbers, so that an error may cross the wire.

pub mod archive;
mod categories;
pub mod cifar;
mod data_schema;
mod dataset;
pub mod embedded;
mod features;
pub mod gzip;
pub mod idx;
pub mod images;
pub mod leaf;
mod partition;
mod prepare;
pub mod registry;
mod roster;
pub mod series;
mod shape;
mod source;
mod split;
pub mod table;
pub mod text;

pub use categories::Categories;
pub use data_schema::{ColumnKind, DataSchema, DataSchemaError, SchemaDifference};
pub use dataset::{Dataset, DatasetError, Features, Targets};
pub use features::{Bytes, FeaturesError, Floats, Tokens, Vocabulary};
pub use partition::{
    ClassesPerClient, Deal, DirichletLabels, DirichletQuantity, Drawn, Iid, LabelCounts, Partition,
    PartitionError, Partitioner, PowerLaw, Shards,
};
pub use prepare::{ApplyError, Columns, Foreseen, Preparation, UndeclaredKind};
pub use roster::Roster;
pub use shape::{ExampleShape, Input, Target};
pub use source::{Contents, ReadError, Source, format_of};
pub use split::{HoldOut, Split};
