//! Ruby's Structs.

use magnus::rb_sys::{AsRawValue, FromRawValue};
use magnus::value::ReprValue;
use magnus::{RStruct, Value};

/// Where the members of a kind of Struct are that are read by name.
///
/// Not to be kept: the class is known by its address alone.
pub struct Members<const N: usize> {
    names: [&'static str; N],
    class: Option<rb_sys::VALUE>,
    places: [Option<u16>; N],
}

impl<const N: usize> Members<N> {
    pub fn new(names: [&'static str; N]) -> Self {
        Self {
            names,
            class: None,
            places: [None; N],
        }
    }

    /// Returns the values of a Struct, nil for those of its members that it lacks; `None` for anything else, and for a
    /// Struct that has none of them.
    pub fn read(&mut self, value: Value) -> Option<[Value; N]> {
        let object = RStruct::from_value(value)?;
        let class = value.class().as_raw();
        if self.class != Some(class) {
            let members = object.members().ok()?;
            let place = |name| members.iter().position(|member| member == name);
            self.places = self.names.map(|name| Some(place(name)? as u16));
            self.class = Some(class);
        }
        if self.places.iter().all(Option::is_none) {
            return None;
        }
        let nil = rb_sys::Qnil as rb_sys::VALUE;
        let member = |place: Option<u16>| {
            // SAFETY: the Struct has a member at this place, so that nothing is raised, and what it returns is live as
            // long as the Struct holds it.
            let value = place.map_or(nil, |place| unsafe {
                rb_sys::rb_struct_aref(object.as_raw(), rb_sys::rb_int2inum(place as isize))
            });
            // SAFETY: a value of a live object, or nil.
            unsafe { Value::from_raw(value) }
        };
        Some(self.places.map(member))
    }
}
