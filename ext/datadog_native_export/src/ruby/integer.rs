//! Ruby Integers of up to 128 bits.

use magnus::Value;
use magnus::rb_sys::AsRawValue;
use std::ffi::c_int;

/// A Ruby Integer: its sign, and its magnitude if 128 bits can hold it.
pub struct RubyInteger {
    pub negative: bool,
    /// `None` when it takes more than 128 bits.
    pub magnitude: Option<u128>,
}

impl RubyInteger {
    /// Reads an Integer; returns `None` when `value` is something else.
    pub fn from_value(value: Value) -> Option<Self> {
        if let Some(small) = fixnum(value) {
            return Some(Self {
                negative: small < 0,
                magnitude: Some(u128::from(small.unsigned_abs())),
            });
        }
        magnus::Integer::from_value(value)?;
        let mut words = [0u64; 2];
        // SAFETY: `value` is a Bignum, which packing only reads; `words` has room for the two words that are asked for.
        let sign = unsafe {
            rb_sys::rb_integer_pack(
                value.as_raw(),
                words.as_mut_ptr().cast(),
                words.len() as _,
                size_of::<u64>() as _,
                0,
                (rb_sys::INTEGER_PACK_LSWORD_FIRST | rb_sys::INTEGER_PACK_NATIVE_BYTE_ORDER)
                    as c_int,
            )
        };
        let magnitude = (u128::from(words[1]) << 64) | u128::from(words[0]);
        Some(Self {
            negative: sign < 0,
            // Packing returns 2 or -2 when it had to leave bits out.
            magnitude: (sign.abs() < 2).then_some(magnitude),
        })
    }

    /// Converts the number, if `T` can hold it.
    #[inline]
    pub fn to<T: TryFrom<i128> + TryFrom<u128>>(&self) -> Option<T> {
        let magnitude = self.magnitude?;
        if self.negative {
            T::try_from(0i128.checked_sub_unsigned(magnitude)?).ok()
        } else {
            T::try_from(magnitude).ok()
        }
    }
}

/// Reads an Integer that takes no object.
#[inline]
pub fn fixnum(value: Value) -> Option<i64> {
    let raw = value.as_raw();
    // SAFETY: it is a Fixnum.
    rb_sys::FIXNUM_P(raw).then(|| unsafe { rb_sys::FIX2LONG(raw) })
}
