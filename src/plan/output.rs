//! Numbers of the layers that a build makes.

use crate::numbered::number;

number! {
    /// The number of a layer of the result, from the base upward.
    ///
    /// Today every layer of the source becomes the layer of the result with the same number, and files that profiles add
    /// become one more. Nothing may rely on that: the two numbers are different types.
    OutputNumber
}
