//! Strings whose text stands in a block already.

use crate::ruby::{address, at_address};
use magnus::Value;
use magnus::gc::Marker;
use pipeline::text::Slice;
use std::cell::Cell;

/// Strings that were put into a block, by their address: keys, and values that are literals, are the same
/// objects in span after span. Each may take the place of another, and is forgotten then.
///
/// An address says nothing when its object is gone, was moved or has changed. So these are frozen, and marking them
/// keeps them where they are.
pub struct Seen {
    places: Box<[Cell<Place>; Seen::PLACES]>,
    /// What is of an earlier round is forgotten.
    round: Cell<u16>,
    /// Which of its owner's blocks the texts stand in.
    block: Cell<usize>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    string: u64,
    slice: Slice,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            places: Box::new(std::array::from_fn(|_| Cell::default())),
            round: Cell::new(1),
            block: Cell::new(0),
        }
    }
}

impl Seen {
    const PLACES: usize = 512;
    /// Objects have no addresses of more bits than this, since nobody asks the kernel for higher ones.
    const ADDRESS_BITS: u32 = 48;

    pub fn forget(&self) {
        match self.round.get().checked_add(1) {
            Some(round) => self.round.set(round),
            None => {
                self.places
                    .iter()
                    .for_each(|place| place.set(Place::default()));
                self.round.set(1);
            }
        }
    }

    /// Forgets what stands in another block.
    pub fn use_for(&self, block: usize) {
        if self.block.replace(block) != block {
            self.forget();
        }
    }

    /// For looking at many, until what is here is forgotten.
    #[inline]
    pub fn glance(&self) -> Glance<'_> {
        Glance {
            places: &self.places,
            round_bits: self.round_bits(),
        }
    }

    #[inline]
    pub fn put(&self, value: Value, slice: Slice) {
        self.places[index(value)].set(Place {
            string: address(value) as u64 ^ self.round_bits(),
            slice,
        });
    }

    /// Marks all that is not forgotten, so that it is neither collected nor moved.
    pub fn mark(&self, marker: &Marker) {
        for place in self.places.iter() {
            let address = place.get().string ^ self.round_bits();
            if address >> Self::ADDRESS_BITS == 0 {
                // SAFETY: it was put in as an object, and was marked ever since.
                marker.mark(unsafe { at_address(address as usize) });
            }
        }
    }

    #[inline]
    fn round_bits(&self) -> u64 {
        u64::from(self.round.get()) << Self::ADDRESS_BITS
    }
}

/// What is read of a [`Seen`] for each text.
#[derive(Clone, Copy)]
pub struct Glance<'s> {
    places: &'s [Cell<Place>; Seen::PLACES],
    round_bits: u64,
}

impl Glance<'_> {
    #[inline(always)]
    pub fn get(self, value: Value) -> Option<Slice> {
        let place = self.places[index(value)].get();
        (place.string == address(value) as u64 ^ self.round_bits).then_some(place.slice)
    }
}

/// Objects stand at multiples of 8.
#[inline(always)]
fn index(value: Value) -> usize {
    (address(value) >> 3) % Seen::PLACES
}
