//! Ruby Arrays.

use magnus::{RArray, Value};

/// Returns the values of an Array from an index on, as many as there are.
#[inline]
pub fn values_from<const N: usize>(array: RArray, index: usize) -> [Option<Value>; N] {
    let mut values = [None; N];
    // SAFETY: nothing calls Ruby while the slice is used.
    let rest = unsafe { array.as_slice() }.get(index..).unwrap_or_default();
    for (place, value) in values.iter_mut().zip(rest) {
        *place = Some(*value);
    }
    values
}
