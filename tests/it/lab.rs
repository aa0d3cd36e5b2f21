//! Names that the tests of the store use for [`TestStores`](crate::harness::TestStores).

pub use crate::harness::TestStores as Lab;
pub use crate::harness::records::*;
pub use crate::harness::stores::*;
