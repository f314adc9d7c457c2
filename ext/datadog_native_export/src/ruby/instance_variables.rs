//! Reading many instance variables of an object at once, without calling a method of it.

use super::private::IvarLayout;
use magnus::rb_sys::{AsRawValue, FromRawValue};
use magnus::value::ReprValue;
use magnus::{RObject, Value};
use std::ffi::{c_int, c_void};

/// Names of instance variables that are read together.
///
/// One walk over an object costs less than a look-up for each name. Objects of one class mostly have theirs in one
/// order, which is remembered as a guess; and where Ruby's private layouts are known, even the walk is spared.
pub struct InstanceVariables<const N: usize> {
    names: [rb_sys::ID; N],
    /// Index of the name that was last found at each place of the walk.
    order: [usize; PLACES],
    layout: IvarLayout<N>,
}

/// Number of instance variables that are found by the guess; more are found, only slower.
const PLACES: usize = 32;

const NIL: rb_sys::VALUE = rb_sys::Qnil as rb_sys::VALUE;

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
            layout: IvarLayout::default(),
        }
    }

    /// Returns the values, nil where the object lacks one; `None` for anything but a plain object.
    #[inline(always)]
    pub fn read(&mut self, object: Value) -> Option<[Value; N]> {
        let object = RObject::from_value(object)?;
        let Some(slots) = self.layout.slots(object) else {
            return Some(self.walk(object.as_value()));
        };
        let mut values = [object.as_value(); N];
        for (index, value) in values.iter_mut().enumerate() {
            *value = slots.get(index);
        }
        Some(values)
    }

    /// Returns where objects like the last one have their variables.
    #[inline]
    pub fn layout(&self) -> &IvarLayout<N> {
        &self.layout
    }

    /// Looks at all variables of a plain object, and learns where those of its kind are.
    #[inline(never)]
    fn walk(&mut self, object: Value) -> [Value; N] {
        let mut walk = Walk {
            names: &self.names,
            order: &mut self.order,
            met: [NIL; PLACES],
            count: 0,
            found: [NIL; N],
            places: [PLACES as u8; N],
        };
        let walk_ptr = (&raw mut walk).cast::<c_void>() as rb_sys::st_data_t;
        // SAFETY: for a plain object this raises nothing and calls nothing but `each`, which has the form that is asked
        // for and never unwinds.
        unsafe { rb_sys::rb_ivar_foreach(object.as_raw(), Some(each::<N>), walk_ptr) };
        let Walk {
            met,
            count,
            found,
            places,
            ..
        } = walk;
        if let Some(met) = met.get(..count) {
            self.layout.learn(object, met, places);
        }
        // SAFETY: values of a live object, or nil.
        found.map(|value| unsafe { Value::from_raw(value) })
    }
}

struct Walk<'a, const N: usize> {
    names: &'a [rb_sys::ID; N],
    order: &'a mut [usize; PLACES],
    /// The values of the first variables that were met, in their order.
    met: [rb_sys::VALUE; PLACES],
    /// Number of variables that were met.
    count: usize,
    /// The values that were asked for, and where in `met` they stand, if they do.
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
    let place = walk.count;
    walk.count += 1;
    if let Some(met) = walk.met.get_mut(place) {
        *met = value;
    }
    let guess = walk.order.get_mut(place);
    let index = match &guess {
        Some(index) if walk.names[**index] == name => Some(**index),
        _ => walk.names.iter().position(|known| *known == name),
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
