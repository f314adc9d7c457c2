//! Reading many instance variables of an object at once.

use magnus::gc::Marker;
use magnus::rb_sys::{AsRawValue, FromRawValue};
use magnus::value::ReprValue;
use magnus::{RObject, Value};
use std::cell::Cell;
use std::ffi::{c_int, c_void};

/// Names of instance variables that are read together.
///
/// One walk over an object costs less than a look-up for each name. Objects of one class mostly have
/// theirs in one order, which is remembered as a guess.
pub struct InstanceVariables<const N: usize> {
    names: [rb_sys::ID; N],
    /// Index of the name that was last found at each place of the walk.
    order: [usize; PLACES],
    /// What was found by the last walk of [`InstanceVariables::read_alike`].
    found: [rb_sys::VALUE; N],
}

/// More instance variables than that are found, only slower.
const PLACES: usize = 32;

impl<const N: usize> InstanceVariables<N> {
    pub fn new(names: [&str; N]) -> Self {
        Self {
            // SAFETY: the names are valid for the lengths given; Ruby keeps what it makes of them.
            names: names.map(|name| unsafe {
                rb_sys::rb_intern3(
                    name.as_ptr().cast(),
                    name.len() as _,
                    rb_sys::rb_utf8_encoding(),
                )
            }),
            order: [0; PLACES],
            found: [NIL; N],
        }
    }

    /// The values, nil where the object lacks one; `None` for what is no plain object.
    pub fn read(&mut self, object: Value) -> Option<[Value; N]> {
        RObject::from_value(object)?;
        // SAFETY: values of a live object, or nil.
        Some(
            self.walk(object)
                .found
                .map(|value| unsafe { Value::from_raw(value) }),
        )
    }

    /// As [`InstanceVariables::read`], for objects of which many follow one another that have the same
    /// variables. What is returned is valid until Ruby code runs or objects are moved.
    #[inline(always)]
    pub fn read_alike<'s>(
        &'s mut self,
        object: Value,
        layout: &'s Layout<N>,
    ) -> Option<Slots<'s, N>> {
        let object = RObject::from_value(object)?;
        Some(match layout.slots(object) {
            Some(slots) => slots,
            None => self.learn(object.as_value(), layout),
        })
    }

    #[inline(never)]
    fn learn(&mut self, object: Value, layout: &Layout<N>) -> Slots<'_, N> {
        let walk = self.walk(object);
        layout.learn(object, &walk);
        self.found = walk.found;
        Slots {
            slots: &self.found,
            places: std::array::from_fn(|index| index as u8),
        }
    }

    /// Looks at all variables of a plain object.
    fn walk(&mut self, object: Value) -> Walk<'_, N> {
        let mut walk = Walk {
            variables: self,
            all: [NIL; PLACES],
            count: 0,
            found: [NIL; N],
            places: [PLACES as u8; N],
        };
        let walk_ptr = (&raw mut walk).cast::<c_void>() as rb_sys::st_data_t;
        // SAFETY: for a plain object this raises nothing and calls nothing but `each`, which has the
        // form that is asked for and never unwinds.
        unsafe { rb_sys::rb_ivar_foreach(object.as_raw(), Some(each::<N>), walk_ptr) };
        walk
    }
}

const NIL: rb_sys::VALUE = rb_sys::Qnil as rb_sys::VALUE;
const UNDEFINED: rb_sys::VALUE = rb_sys::Qundef as rb_sys::VALUE;

struct Walk<'a, const N: usize> {
    variables: &'a mut InstanceVariables<N>,
    /// The values of the first variables that were met, in their order.
    all: [rb_sys::VALUE; PLACES],
    /// Number of variables that were met.
    count: usize,
    /// The values that were asked for, and where in `all` they stand, if they do.
    found: [rb_sys::VALUE; N],
    places: [u8; N],
}

extern "C" fn each<const N: usize>(
    name: rb_sys::ID,
    value: rb_sys::VALUE,
    walk: rb_sys::st_data_t,
) -> c_int {
    // SAFETY: it is the walk of `InstanceVariables::walk`, which outlives the call and is used by it alone.
    let walk = unsafe { &mut *(walk as *mut c_void).cast::<Walk<N>>() };
    let InstanceVariables { names, order, .. } = walk.variables;
    let place = walk.count;
    walk.count += 1;
    if let Some(known) = walk.all.get_mut(place) {
        *known = value;
    }
    let guess = order.get_mut(place);
    let index = match &guess {
        Some(index) if names[**index] == name => Some(**index),
        _ => names.iter().position(|known| *known == name),
    };
    if let Some(index) = index {
        walk.found[index] = value;
        walk.places[index] = place.min(PLACES) as u8;
        if let Some(guess) = guess {
            *guess = index;
        }
    }
    rb_sys::st_retval::ST_CONTINUE as c_int
}

/// Where the objects of one kind have their variables, found out by a walk over one of them, so that
/// the others need none: a walk is as much work as lowering half a span.
///
/// The owner marks it, or forgets it before Ruby code runs: else another kind may be known by what this one was.
/// Rubies whose objects look otherwise than here have none.
pub struct Layout<const N: usize> {
    kind: Cell<Option<object::Kind>>,
    /// How many variables such an object has.
    count: Cell<usize>,
    /// Where each of those asked for stands.
    places: Cell<[u8; N]>,
}

impl<const N: usize> Default for Layout<N> {
    fn default() -> Self {
        Self {
            kind: Cell::new(None),
            count: Cell::new(0),
            places: Cell::new([0; N]),
        }
    }
}

impl<const N: usize> Layout<N> {
    pub fn forget(&self) {
        self.kind.set(None);
    }

    /// Sees to it that no other kind takes the place of the one that is known.
    pub fn mark(&self, marker: &Marker) {
        if let Some(kind) = self.kind.get() {
            object::mark(kind, marker);
        }
    }

    /// Takes over what a walk tells, if the object has the very same values in the same order.
    fn learn(&self, object: Value, walk: &Walk<N>) {
        self.kind.set(None);
        let Some(met) = walk.all.get(..walk.count) else {
            return;
        };
        // Objects whose variables stand in a table of their own have that in the first place, and are of one
        // kind whatever their variables are.
        if met.is_empty() || object::first_slot(object) != met.first().copied() {
            return;
        }
        // SAFETY: the object has as many variables as the walk has met, and they begin here.
        if unsafe { object::slots(object, walk.count) } == Some(met) {
            self.kind.set(Some(object::kind(object)));
            self.count.set(walk.count);
            self.places.set(walk.places);
        }
    }

    /// The variables of an object, when it is of the kind that is known. They are valid until Ruby code runs or objects
    /// are moved.
    #[inline(always)]
    pub fn slots<'s>(&self, object: RObject) -> Option<Slots<'s, N>> {
        let object = object.as_value();
        if self.kind.get() != Some(object::kind(object)) {
            return None;
        }
        // SAFETY: objects of a kind have equally many variables, or `slots` sees that they haven't.
        let slots = unsafe { object::slots(object, self.count.get()) }?;
        Some(Slots {
            slots,
            places: self.places.get(),
        })
    }
}

/// The variables of an object. They are not on the stack, where Ruby would see them.
pub struct Slots<'s, const N: usize> {
    slots: &'s [rb_sys::VALUE],
    places: [u8; N],
}

impl<const N: usize> Slots<'_, N> {
    /// The memory that they are in, from the first address to behind the last.
    #[inline(always)]
    pub fn addresses(&self) -> std::ops::Range<usize> {
        let all = self.slots.as_ptr_range();
        all.start.addr()..all.end.addr()
    }

    /// The value of the variable that was named at `index`, nil where the object lacks it.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Value {
        let place = usize::from(self.places[index]);
        let slot = self.slots.get(place).copied().unwrap_or(NIL);
        let value = match slot {
            UNDEFINED => NIL,
            value => value,
        };
        // SAFETY: a value of a live object, or nil.
        unsafe { Value::from_raw(value) }
    }
}

/// Plain objects, and nothing else may be handed in, in Ruby 3.1: an array of slots, of which a class gives
/// each name the next one for ever. An object that lacks a variable has `Qundef` there, or a shorter array.
#[cfg(ruby_3_1)]
mod object {
    use magnus::Value;
    use magnus::gc::Marker;
    use magnus::rb_sys::{AsRawValue, FromRawValue};

    /// The class, or the singleton class.
    pub type Kind = rb_sys::VALUE;

    #[inline(always)]
    pub fn kind(object: Value) -> Kind {
        // SAFETY: a plain object is on the heap and has a header.
        unsafe { (*(object.as_raw() as *const rb_sys::RBasic)).klass }
    }

    /// It is neither collected nor moved.
    pub fn mark(kind: Kind, marker: &Marker) {
        // SAFETY: it was the class of a live object, and was marked ever since.
        marker.mark(unsafe { Value::from_raw(kind) });
    }

    /// What stands in the first slot.
    pub fn first_slot(object: Value) -> Option<rb_sys::VALUE> {
        // SAFETY: the slots are not used any longer than this.
        unsafe { all_slots(object) }.first().copied()
    }

    /// The first `count` slots, when there is nothing in those that follow.
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

/// The same in Ruby 3.2 to 3.4: their shape tells which variables they have, and in which order. Those that
/// are too many for the object itself stand elsewhere; these are always walked over.
#[cfg(all(any(ruby_3_2, ruby_3_3, ruby_3_4), target_pointer_width = "64"))]
mod object {
    use magnus::Value;
    use magnus::gc::Marker;
    use magnus::rb_sys::AsRawValue;

    /// The flags that hold the shape (`SHAPE_FLAG_SHIFT` in Ruby's `shape.h`).
    pub type Kind = u32;

    #[inline(always)]
    pub fn kind(object: Value) -> Kind {
        // SAFETY: a plain object is on the heap and has a header.
        (unsafe { (*(object.as_raw() as *const rb_sys::RBasic)).flags } >> 32) as Kind
    }

    /// Shapes stay as long as the process.
    pub fn mark(_: Kind, _: &Marker) {}

    /// What stands in the first slot.
    pub fn first_slot(object: Value) -> Option<rb_sys::VALUE> {
        // SAFETY: no object is too small for one slot.
        unsafe { slots(object, 1) }.map(|slots| slots[0])
    }

    /// The first `count` slots.
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
    use magnus::gc::Marker;

    pub type Kind = ();

    pub fn kind(_: Value) -> Kind {}

    pub fn mark(_: Kind, _: &Marker) {}

    pub fn first_slot(_: Value) -> Option<rb_sys::VALUE> {
        None
    }

    pub unsafe fn slots<'a>(_: Value, _: usize) -> Option<&'a [rb_sys::VALUE]> {
        None
    }
}
