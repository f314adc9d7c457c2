//! Where plain objects keep their instance variables.

use super::enabled;
use magnus::rb_sys::FromRawValue;
use magnus::value::ReprValue;
use magnus::{RObject, Value};

const NIL: rb_sys::VALUE = rb_sys::Qnil as rb_sys::VALUE;
const UNDEFINED: rb_sys::VALUE = rb_sys::Qundef as rb_sys::VALUE;

/// Where the objects of one kind have their variables, learned from a walk over one of them, so that the others need
/// none: a walk is as much work as lowering half a span.
pub struct IvarLayout<const N: usize> {
    kind: Option<object::Kind>,
    /// Number of variables that such an object has.
    count: usize,
    /// Where each of those asked for stands; beyond `count` for none.
    places: [u8; N],
}

impl<const N: usize> Default for IvarLayout<N> {
    fn default() -> Self {
        Self {
            kind: None,
            count: 0,
            places: [0; N],
        }
    }
}

impl<const N: usize> IvarLayout<N> {
    /// Learns where the variables stand, if the object has the very same values in the same order as the walk over it
    /// has met: `met`, in their order, at `places`.
    pub fn learn(&mut self, object: Value, met: &[rb_sys::VALUE], places: [u8; N]) {
        self.kind = None;
        // Objects whose variables stand in a table of their own have that in the first place, and are of one kind
        // whatever their variables are.
        if !enabled() || met.is_empty() || object::first_slot(object) != met.first().copied() {
            return;
        }
        // SAFETY: the object has as many variables as the walk has met, and they begin here.
        let is_same = unsafe { object::slots(object, met.len()) } == Some(met);
        if is_same && object::keep(object::kind(object)) {
            self.kind = Some(object::kind(object));
            self.count = met.len();
            self.places = places;
        }
    }

    /// Returns the variables of an object, if it is of the kind that is known.
    #[inline(always)]
    pub fn slots<'s>(&'s self, object: RObject) -> Option<Slots<'s, N>> {
        let object = object.as_value();
        if self.kind != Some(object::kind(object)) {
            return None;
        }
        // SAFETY: objects of a kind have equally many variables, or `slots` sees that they haven't. What is returned is
        // used before anything of Ruby is called.
        let slots = unsafe { object::slots(object, self.count) }?;
        Some(Slots {
            slots,
            places: &self.places,
        })
    }
}

/// The variables of an object, valid until Ruby code runs or objects are moved.
#[derive(Clone, Copy)]
pub struct Slots<'s, const N: usize> {
    slots: &'s [rb_sys::VALUE],
    places: &'s [u8; N],
}

impl<const N: usize> Slots<'_, N> {
    /// Returns the memory that the variables are in.
    #[inline]
    pub fn addresses(&self) -> std::ops::Range<usize> {
        let all = self.slots.as_ptr_range();
        all.start.addr()..all.end.addr()
    }

    /// Returns the value of the variable that was named at `index`, nil where the object lacks it.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Value {
        let slot = self.slots.get(usize::from(self.places[index])).copied();
        let value = match slot {
            None | Some(UNDEFINED) => NIL,
            Some(value) => value,
        };
        // SAFETY: a value of a live object, or nil.
        unsafe { Value::from_raw(value) }
    }
}

/// Plain objects of Ruby 3.1, the only objects that may be passed: an array of slots, of which a class gives each name
/// the next one for ever. An object that lacks a variable has `Qundef` there, or a shorter array.
#[cfg(ruby_3_1)]
mod object {
    use magnus::rb_sys::{AsRawValue, FromRawValue};
    use magnus::{Ruby, Value};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The class, or the singleton class.
    pub type Kind = rb_sys::VALUE;

    #[inline(always)]
    pub fn kind(object: Value) -> Kind {
        // SAFETY: a plain object is on the heap and has a header.
        unsafe { (*(object.as_raw() as *const rb_sys::RBasic)).klass }
    }

    /// Sees to it that no other class takes the place of this one, which is neither collected nor moved from now on.
    /// Returns false when that would be for one object alone, or when too many are kept already.
    pub fn keep(kind: Kind) -> bool {
        const SINGLETON: rb_sys::VALUE = rb_sys::ruby_fl_type::RUBY_FL_SINGLETON as _;
        static KEPT: [AtomicUsize; 32] = [const { AtomicUsize::new(0) }; 32];
        // SAFETY: it is the class of a live object, and has a header.
        let (class, flags) = unsafe {
            let header = kind as *const rb_sys::RBasic;
            (Value::from_raw(kind), (*header).flags)
        };
        if flags & SINGLETON != 0 {
            return false;
        }
        for place in &KEPT {
            match place.compare_exchange(0, kind as usize, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    Ruby::get_with(class).gc_register_mark_object(class);
                    return true;
                }
                Err(kept) if kept == kind as usize => return true,
                Err(_) => {}
            }
        }
        false
    }

    /// Returns what stands in the first slot.
    pub fn first_slot(object: Value) -> Option<rb_sys::VALUE> {
        // SAFETY: the slots are not used any longer than this.
        unsafe { all_slots(object) }.first().copied()
    }

    /// Returns the first `count` slots, when there is nothing in those that follow.
    ///
    /// # Safety
    /// The variables of `object` must stay what they are while the slots are used.
    #[inline(always)]
    pub unsafe fn slots<'a>(object: Value, count: usize) -> Option<&'a [rb_sys::VALUE]> {
        // SAFETY: as promised.
        let (slots, rest) = unsafe { all_slots(object) }.split_at_checked(count)?;
        rest.iter()
            .all(|value| *value == super::UNDEFINED)
            .then_some(slots)
    }

    /// # Safety
    /// As for [`slots`].
    #[inline(always)]
    unsafe fn all_slots<'a>(object: Value) -> &'a [rb_sys::VALUE] {
        const EMBEDDED: rb_sys::VALUE = rb_sys::ruby_robject_flags::ROBJECT_EMBED as _;
        // SAFETY: it is a plain object, and stays as it is. This is what `ROBJECT_NUMIV` and
        // `ROBJECT_IVPTR` of Ruby's headers do.
        unsafe {
            let object = &*(object.as_raw() as *const rb_sys::RObject);
            if object.basic.flags & EMBEDDED != 0 {
                object.as_.ary.as_slice()
            } else if object.as_.heap.ivptr.is_null() {
                &[]
            } else {
                std::slice::from_raw_parts(object.as_.heap.ivptr, object.as_.heap.numiv as usize)
            }
        }
    }
}

/// Plain objects of Ruby 3.2 to 3.4: their shape tells which variables they have, and in which order. Variables that
/// are too many for the object itself stand elsewhere; such objects are always walked over.
#[cfg(all(any(ruby_3_2, ruby_3_3, ruby_3_4), target_pointer_width = "64"))]
mod object {
    use magnus::Value;
    use magnus::rb_sys::AsRawValue;

    /// The flags that hold the shape (`SHAPE_FLAG_SHIFT` in Ruby's `shape.h`).
    pub type Kind = u32;

    #[inline(always)]
    pub fn kind(object: Value) -> Kind {
        // SAFETY: a plain object is on the heap and has a header.
        (unsafe { (*(object.as_raw() as *const rb_sys::RBasic)).flags } >> 32) as Kind
    }

    /// Shapes stay as long as the process.
    pub fn keep(_: Kind) -> bool {
        true
    }

    /// Returns what stands in the first slot.
    pub fn first_slot(object: Value) -> Option<rb_sys::VALUE> {
        // SAFETY: no object is too small for one slot.
        unsafe { slots(object, 1) }.map(|slots| slots[0])
    }

    /// Returns the first `count` slots.
    ///
    /// # Safety
    /// `object` must have so many variables in itself, which stay what they are while the slots are used.
    #[inline(always)]
    pub unsafe fn slots<'a>(object: Value, count: usize) -> Option<&'a [rb_sys::VALUE]> {
        const EMBEDDED: rb_sys::VALUE = rb_sys::ruby_robject_flags::ROBJECT_EMBED as _;
        // SAFETY: as promised. This is what `ROBJECT_IVPTR` of Ruby's headers does.
        unsafe {
            let object = object.as_raw() as *const rb_sys::RObject;
            ((*object).basic.flags & EMBEDDED != 0)
                .then(|| std::slice::from_raw_parts((&raw const (*object).as_.ary).cast(), count))
        }
    }
}

#[cfg(not(any(
    ruby_3_1,
    all(any(ruby_3_2, ruby_3_3, ruby_3_4), target_pointer_width = "64")
)))]
mod object {
    use magnus::Value;

    pub type Kind = ();

    pub fn kind(_: Value) -> Kind {}

    pub fn keep((): Kind) -> bool {
        false
    }

    pub fn first_slot(_: Value) -> Option<rb_sys::VALUE> {
        None
    }

    pub unsafe fn slots<'a>(_: Value, _: usize) -> Option<&'a [rb_sys::VALUE]> {
        None
    }
}
