//! Numbers that cannot be mistaken for each other, and lists that only their own numbers can index.
//!
//! A layer, an entry, a rule and a pattern all have a number. Each kind of number is a type, and a [`NumberedVec`] says by
//! its type which numbers it takes:
//!
//! ```
//! use winslim::layer::LayerNumber;
//! use winslim::numbered::NumberedVec;
//! use winslim::plan::OutputNumber;
//! use winslim::profile::{PatternNumber, PatternSet};
//!
//! let layers: NumberedVec<LayerNumber, &str> = vec!["base", "servicing"].into();
//! for (number, layer) in layers.numbered() {
//!     assert_eq!(layers[number], *layer);
//! }
//! let outputs: NumberedVec<OutputNumber, &str> = vec!["base"].into();
//! assert_eq!(outputs[OutputNumber::from(0)], "base");
//! let patterns = PatternSet::parse(&["Windows"])?;
//! assert_eq!(patterns.patterns()[PatternNumber::from(0)].as_str(), "Windows");
//! # Ok::<(), winslim::profile::PatternError>(())
//! ```
//!
//! A number of another kind does not compile. The number of a layer of the source cannot index the layers of the result:
//!
//! ```compile_fail,E0308
//! use winslim::layer::LayerNumber;
//! use winslim::numbered::NumberedVec;
//! use winslim::plan::OutputNumber;
//!
//! let outputs: NumberedVec<OutputNumber, &str> = vec!["base"].into();
//! assert_eq!(outputs[LayerNumber::from(0)], "base");
//! ```
//!
//! The number of a rule cannot index patterns:
//!
//! ```compile_fail,E0308
//! use winslim::profile::{PatternSet, RuleNumber};
//!
//! let patterns = PatternSet::parse(&["Windows"])?;
//! assert_eq!(patterns.patterns()[RuleNumber::from(0)].as_str(), "Windows");
//! # Ok::<(), winslim::profile::PatternError>(())
//! ```

use std::fmt;
use std::iter::Zip;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut, Range};
use std::slice::{Iter, IterMut};

use serde::{Serialize, Serializer};

/// The number of something that has its place in a list.
pub trait Number: Copy + Ord + From<u32> + Into<u32> {
    /// Returns the place in the list.
    fn place(self) -> usize;
}

/// Makes a [`Number`]: a type of its own for the numbers of one kind of thing.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u32);

        impl $crate::numbered::Number for $name {
            fn place(self) -> usize {
                // winslim runs on 32 and 64 bits, so that this widens.
                self.0 as usize
            }
        }

        impl From<u32> for $name {
            fn from(number: u32) -> $name {
                $name(number)
            }
        }

        impl From<$name> for u32 {
            fn from(number: $name) -> u32 {
                number.0
            }
        }

        impl TryFrom<usize> for $name {
            type Error = std::num::TryFromIntError;

            fn try_from(place: usize) -> Result<$name, std::num::TryFromIntError> {
                u32::try_from(place).map($name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

pub(crate) use number;

/// A list that only numbers of type `N` can index.
///
/// Numbers have 32 bits. Items behind the last number cannot be reached by one.
#[derive(Clone, PartialEq, Eq)]
pub struct NumberedVec<N, T> {
    items: Vec<T>,
    number: PhantomData<fn() -> N>,
}

impl<N: Number, T> NumberedVec<N, T> {
    /// Returns an empty list.
    pub fn new() -> NumberedVec<N, T> {
        NumberedVec::from(Vec::new())
    }

    /// Returns an empty list with room for so many items.
    pub fn with_capacity(capacity: usize) -> NumberedVec<N, T> {
        NumberedVec::from(Vec::with_capacity(capacity))
    }

    /// Returns how many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns `true` if there is no item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the items in their order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.items.iter()
    }

    /// Returns the items in their order, to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_, T> {
        self.items.iter_mut()
    }

    /// Returns the numbers of all items.
    pub fn numbers(&self) -> NumberRange<N> {
        NumberRange::new(0, u32::try_from(self.items.len()).unwrap_or(u32::MAX))
    }

    /// Returns the items in their order, each with its number.
    pub fn numbered(&self) -> Zip<NumberRange<N>, Iter<'_, T>> {
        self.numbers().zip(&self.items)
    }

    /// Returns the item with a number, or `None` if the list has no such number.
    pub fn get(&self, number: N) -> Option<&T> {
        self.items.get(number.place())
    }

    /// Returns the first item.
    pub fn first(&self) -> Option<&T> {
        self.items.first()
    }

    /// Returns the last item.
    pub fn last(&self) -> Option<&T> {
        self.items.last()
    }

    /// Returns the items with smaller numbers than this one.
    pub fn before(&self, number: N) -> &[T] {
        self.items.get(..number.place()).unwrap_or(&self.items)
    }

    /// Returns the items with greater numbers than this one.
    pub fn after(&self, number: N) -> &[T] {
        number.place().checked_add(1).and_then(|next| self.items.get(next..)).unwrap_or_default()
    }

    /// Returns the items with these numbers, as far as the list has them.
    pub fn slice(&self, numbers: NumberRange<N>) -> &[T] {
        let end = N::from(numbers.0.end).place().min(self.items.len());
        self.items.get(N::from(numbers.0.start).place()..end).unwrap_or_default()
    }

    /// Appends an item.
    pub fn push(&mut self, item: T) {
        self.items.push(item);
    }

    /// Returns a list of the same length in which every item is this value.
    pub fn same_length<U: Clone>(&self, value: U) -> NumberedVec<N, U> {
        NumberedVec::from(vec![value; self.items.len()])
    }

    /// Returns the items without their numbers, for what takes all of them in their order.
    pub fn as_slice(&self) -> &[T] {
        &self.items
    }

    /// Returns the items without their numbers.
    pub fn into_vec(self) -> Vec<T> {
        self.items
    }
}

impl<N: Number, T> Index<N> for NumberedVec<N, T> {
    type Output = T;

    fn index(&self, number: N) -> &T {
        &self.items[number.place()]
    }
}

impl<N: Number, T> IndexMut<N> for NumberedVec<N, T> {
    fn index_mut(&mut self, number: N) -> &mut T {
        &mut self.items[number.place()]
    }
}

impl<N, T> From<Vec<T>> for NumberedVec<N, T> {
    fn from(items: Vec<T>) -> NumberedVec<N, T> {
        NumberedVec { items, number: PhantomData }
    }
}

impl<N, T> Default for NumberedVec<N, T> {
    fn default() -> NumberedVec<N, T> {
        NumberedVec::from(Vec::new())
    }
}

impl<N, T> FromIterator<T> for NumberedVec<N, T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> NumberedVec<N, T> {
        NumberedVec::from(Vec::from_iter(items))
    }
}

impl<N, T> Extend<T> for NumberedVec<N, T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.items.extend(items);
    }
}

impl<N, T> IntoIterator for NumberedVec<N, T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> std::vec::IntoIter<T> {
        self.items.into_iter()
    }
}

impl<'a, N, T> IntoIterator for &'a NumberedVec<N, T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.items.iter()
    }
}

impl<'a, N, T> IntoIterator for &'a mut NumberedVec<N, T> {
    type Item = &'a mut T;
    type IntoIter = IterMut<'a, T>;

    fn into_iter(self) -> IterMut<'a, T> {
        self.items.iter_mut()
    }
}

impl<N, T: fmt::Debug> fmt::Debug for NumberedVec<N, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.items.fmt(f)
    }
}

/// The items alone, as a list of them without numbers.
impl<N, T: Serialize> Serialize for NumberedVec<N, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.items.serialize(serializer)
    }
}

/// Numbers that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberRange<N>(Range<u32>, PhantomData<fn() -> N>);

impl<N: Number> NumberRange<N> {
    /// Returns the numbers from `start` up to `end`, without that one.
    fn new(start: u32, end: u32) -> NumberRange<N> {
        NumberRange(start..end, PhantomData)
    }

    /// Returns no numbers.
    pub fn empty() -> NumberRange<N> {
        NumberRange::new(0, 0)
    }

    /// Returns so many numbers behind this one.
    pub fn behind(number: N, count: usize) -> NumberRange<N> {
        let start = number.into().saturating_add(1);
        NumberRange::new(start, start.saturating_add(u32::try_from(count).unwrap_or(u32::MAX)))
    }

    /// Returns `true` if the number is one of them.
    pub fn contains(&self, number: N) -> bool {
        self.0.contains(&number.into())
    }
}

impl<N: Number> Iterator for NumberRange<N> {
    type Item = N;

    fn next(&mut self) -> Option<N> {
        self.0.next().map(N::from)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<N: Number> DoubleEndedIterator for NumberRange<N> {
    fn next_back(&mut self) -> Option<N> {
        self.0.next_back().map(N::from)
    }
}

impl<N: Number> ExactSizeIterator for NumberRange<N> {}

#[cfg(test)]
mod tests {
    use super::*;

    number! {
        /// The number of a letter.
        LetterNumber
    }

    fn letters() -> NumberedVec<LetterNumber, char> {
        "abcd".chars().collect()
    }

    #[test]
    fn each_item_is_found_under_its_number() {
        let mut letters = letters();
        let found: Vec<(u32, char)> = letters.numbered().map(|(number, letter)| (number.into(), *letter)).collect();
        assert_eq!(found, [(0, 'a'), (1, 'b'), (2, 'c'), (3, 'd')]);
        assert!(letters.numbered().all(|(number, letter)| letters[number] == *letter));
        assert!(letters.numbered().rev().eq(letters.numbered().collect::<Vec<_>>().into_iter().rev()));
        assert_eq!(letters.get(LetterNumber(4)), None);
        letters[LetterNumber(2)] = 'x';
        letters.push('e');
        assert_eq!(letters.into_vec(), ['a', 'b', 'x', 'd', 'e']);
    }

    #[test]
    fn parts_end_where_the_list_ends() {
        let letters = letters();
        let before = |number: u32| letters.before(number.into()).iter().collect::<String>();
        let after = |number: u32| letters.after(number.into()).iter().collect::<String>();
        let behind =
            |number: u32, count| letters.slice(NumberRange::behind(number.into(), count)).iter().collect::<String>();
        assert_eq!([0, 1, 4, 9].map(before), ["", "a", "abcd", "abcd"]);
        assert_eq!([0, 1, 3, 9, u32::MAX].map(after), ["bcd", "cd", "", "", ""]);
        assert_eq!([(0, 2), (1, 9), (3, 1), (7, 1)].map(|(number, count)| behind(number, count)), ["bc", "cd", "", ""]);
        assert!(letters.slice(NumberRange::empty()).is_empty());
    }

    #[test]
    fn ranges_do_not_wrap_at_the_last_number() {
        let behind = |number: u32, count| NumberRange::<LetterNumber>::behind(number.into(), count);
        let numbers = |number, count| behind(number, count).map(u32::from).collect::<Vec<u32>>();
        assert_eq!(numbers(5, 2), [6, 7]);
        assert!(numbers(u32::MAX, 5).is_empty());
        assert_eq!(numbers(u32::MAX - 2, 5), [u32::MAX - 1]);
        assert!(behind(3, 2).contains(LetterNumber(5)) && !behind(3, 2).contains(LetterNumber(3)));
    }

    #[test]
    fn a_place_that_does_not_fit_is_refused_and_never_wraps() {
        for place in [0, 65_535, 65_536, u32::MAX as usize] {
            assert_eq!(LetterNumber::try_from(place).unwrap().place(), place);
        }
        assert!(LetterNumber::try_from(u32::MAX as usize + 1).is_err());
    }
}
