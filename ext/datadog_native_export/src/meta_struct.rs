//! `meta_struct` values: Ruby objects to MessagePack and back, with no Ruby object in between.

use crate::errors::describe;
use crate::ruby::{Whole, each_pair, same_object};
use crate::strings::{Encodings, StringFacts, copy_bytes};
use crate::text::Text;
use magnus::encoding::Coderange;
use magnus::value::{Qfalse, Qtrue, ReprValue};
use magnus::{
    Error, ExceptionClass, Float, IntoValue, RArray, RHash, RString, Ruby, Symbol, Value,
};
use rmp::Marker;
use rmp::decode::RmpRead;
use rmp::encode::{self, ByteBuf};

/// How many Arrays and Hashes may be inside each other, here and in the attributes of links.
pub const DEEPEST: usize = 64;
/// What an agent takes at most in one request, which a few shared Arrays inside each other would
/// exceed a billionfold.
pub const LARGEST: usize = 25 * 1024 * 1024;
const KINDS: &str = "nil, true, false, Integer, Float, String, Symbol, Array or Hash";

/// A value as MessagePack, and the number of Strings in it that were repaired.
///
/// # Errors
/// TypeError, RangeError or ArgumentError with the path to what cannot be encoded, which begins
/// with `key`.
pub fn encode(ruby: &Ruby, key: &Text, value: Value) -> Result<(Vec<u8>, usize), Error> {
    let mut encoder = Encoder {
        ruby,
        out: ByteBuf::new(),
        ancestors: Vec::new(),
        repaired: 0,
    };
    match encoder.value(value).and_then(|()| encoder.check_size()) {
        Ok(()) => Ok((encoder.out.into_vec(), encoder.repaired)),
        Err(Refusal::Raised(error)) => Err(error),
        Err(Refusal::Value {
            path,
            class,
            problem,
        }) => {
            let (key, _) = key.to_owned();
            Err(Error::new(class, format!("{key}{path}: {problem}")))
        }
    }
}

struct Encoder<'a> {
    ruby: &'a Ruby,
    out: ByteBuf,
    ancestors: Vec<Value>,
    repaired: usize,
}

enum Refusal {
    Raised(Error),
    /// Each level that it passes through puts its step in front of the path.
    Value {
        path: String,
        class: ExceptionClass,
        problem: String,
    },
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Raised(error)
    }
}

impl Refusal {
    fn within(mut self, step: impl FnOnce() -> String) -> Self {
        if let Self::Value { path, .. } = &mut self {
            path.insert_str(0, &step());
        }
        self
    }
}

impl Encoder<'_> {
    fn value(&mut self, value: Value) -> Result<(), Refusal> {
        self.check_size()?;
        if let Some(string) = RString::from_value(value) {
            self.string(string)
        } else if let Some(symbol) = Symbol::from_value(value) {
            self.text(symbol.as_value())
        } else if let Some(whole) = Whole::from_value(value) {
            self.integer(&whole, value)
        } else if let Some(float) = Float::from_value(value) {
            written(encode::write_f64(&mut self.out, float.to_f64()));
            Ok(())
        } else if let Some(array) = RArray::from_value(value) {
            self.nested(value, |encoder| encoder.array(array))
        } else if let Some(hash) = RHash::from_value(value) {
            self.nested(value, |encoder| encoder.hash(hash))
        } else if value.is_nil() {
            written(encode::write_nil(&mut self.out));
            Ok(())
        } else if Qtrue::from_value(value).is_some() || Qfalse::from_value(value).is_some() {
            written(encode::write_bool(&mut self.out, value.to_bool()));
            Ok(())
        } else {
            let problem = format!("expected {KINDS}, got {}", describe(value));
            Err(self.refuse(self.ruby.exception_type_error(), problem))
        }
    }

    fn check_size(&self) -> Result<(), Refusal> {
        if self.out.as_slice().len() <= LARGEST {
            return Ok(());
        }
        let problem = format!("expected at most {LARGEST} bytes of MessagePack");
        Err(self.refuse(self.ruby.exception_arg_error(), problem))
    }

    /// A binary String is text if it can be.
    fn string(&mut self, string: RString) -> Result<(), Refusal> {
        let facts = StringFacts::of(string);
        if facts.encoding == Encodings::BINARY && facts.coderange != Coderange::SevenBit {
            let bytes = copy_bytes(string);
            if str::from_utf8(&bytes).is_err() {
                written(encode::write_bin(&mut self.out, &bytes));
                return Ok(());
            }
        }
        self.text(string.as_value())
    }

    fn text(&mut self, value: Value) -> Result<(), Refusal> {
        let text = Text::required(self.ruby, value, String::new)?;
        let (text, repaired) = text.to_owned();
        written(encode::write_str(&mut self.out, &text));
        self.repaired += usize::from(repaired);
        Ok(())
    }

    fn integer(&mut self, whole: &Whole, value: Value) -> Result<(), Refusal> {
        if let Some(integer) = whole.fit::<u64>() {
            written(encode::write_uint(&mut self.out, integer));
        } else if let Some(integer) = whole.fit::<i64>() {
            written(encode::write_sint(&mut self.out, integer));
        } else {
            let problem = format!("expected -2**63 to 2**64-1, got {}", describe(value));
            return Err(self.refuse(self.ruby.exception_range_error(), problem));
        }
        Ok(())
    }

    fn nested(
        &mut self,
        value: Value,
        encode: impl FnOnce(&mut Self) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let class = self.ruby.exception_arg_error();
        if self
            .ancestors
            .iter()
            .any(|ancestor| same_object(*ancestor, value))
        {
            let problem = format!("this {} contains itself", describe(value));
            return Err(self.refuse(class, problem));
        }
        if self.ancestors.len() == DEEPEST {
            let problem = format!("expected at most {DEEPEST} Arrays and Hashes inside each other");
            return Err(self.refuse(class, problem));
        }
        self.ancestors.push(value);
        encode(self)?;
        self.ancestors.pop();
        Ok(())
    }

    fn array(&mut self, array: RArray) -> Result<(), Refusal> {
        let length = array.len();
        written(encode::write_array_len(&mut self.out, length as u32));
        for index in 0..length {
            // Read one by one: transcoding a String can run other threads, which may change it.
            let element = array.entry::<Value>(index as isize)?;
            self.value(element)
                .map_err(|refusal| refusal.within(|| format!("[{index}]")))?;
        }
        Ok(())
    }

    fn hash(&mut self, hash: RHash) -> Result<(), Refusal> {
        let length = hash.len();
        written(encode::write_map_len(&mut self.out, length as u32));
        let mut encoded = 0;
        let mut result = Ok(());
        each_pair(hash, |key, value| {
            encoded += 1;
            result = self.key(key).and_then(|()| {
                self.value(value)
                    .map_err(|refusal| refusal.within(|| format!(".{}", step(key))))
            });
            result.is_ok()
        })?;
        result?;
        if encoded != length {
            let problem = "the Hash was changed while it was read".to_owned();
            return Err(self.refuse(self.ruby.exception_runtime_error(), problem));
        }
        Ok(())
    }

    fn key(&mut self, key: Value) -> Result<(), Refusal> {
        if let Some(whole) = Whole::from_value(key) {
            return self.integer(&whole, key);
        }
        if RString::from_value(key).is_some() || Symbol::from_value(key).is_some() {
            return self.text(key);
        }
        let problem = format!(
            "expected String, Symbol or Integer as a key, got {}",
            describe(key)
        );
        Err(self.refuse(self.ruby.exception_type_error(), problem))
    }

    fn refuse(&self, class: ExceptionClass, problem: String) -> Refusal {
        Refusal::Value {
            path: String::new(),
            class,
            problem,
        }
    }
}

/// How a path names a key.
fn step(key: Value) -> String {
    key.to_string().chars().take(60).collect()
}

fn written<T, E>(result: Result<T, E>) {
    // A buffer in memory takes everything.
    if result.is_err() {
        unreachable!("writing to memory failed");
    }
}

/// The Ruby object that MessagePack from [`encode`] stands for, frozen throughout.
pub fn decode(ruby: &Ruby, bytes: &mut &[u8]) -> Result<Value, Error> {
    let broken = |_| {
        Error::new(
            ruby.exception_runtime_error(),
            "meta_struct: not MessagePack",
        )
    };
    let marker = rmp::decode::read_marker(bytes).map_err(|_| broken(()))?;
    // Lengths and numbers of each width, as `encode` chose the shortest.
    macro_rules! read {
        ($method:ident) => {
            bytes.$method().map_err(|_| broken(()))?
        };
    }
    let value = match marker {
        Marker::Null => ruby.qnil().as_value(),
        Marker::True => ruby.qtrue().as_value(),
        Marker::False => ruby.qfalse().as_value(),
        Marker::FixPos(number) => number.into_value_with(ruby),
        Marker::FixNeg(number) => number.into_value_with(ruby),
        Marker::U8 => read!(read_data_u8).into_value_with(ruby),
        Marker::U16 => read!(read_data_u16).into_value_with(ruby),
        Marker::U32 => read!(read_data_u32).into_value_with(ruby),
        Marker::U64 => read!(read_data_u64).into_value_with(ruby),
        Marker::I8 => read!(read_data_i8).into_value_with(ruby),
        Marker::I16 => read!(read_data_i16).into_value_with(ruby),
        Marker::I32 => read!(read_data_i32).into_value_with(ruby),
        Marker::I64 => read!(read_data_i64).into_value_with(ruby),
        Marker::F64 => read!(read_data_f64).into_value_with(ruby),
        Marker::FixStr(length) => text(ruby, take(bytes, length.into())),
        Marker::Str8 => text(ruby, {
            let n = read!(read_data_u8);
            take(bytes, n.into())
        }),
        Marker::Str16 => text(ruby, {
            let n = read!(read_data_u16);
            take(bytes, n.into())
        }),
        Marker::Str32 => text(ruby, {
            let n = read!(read_data_u32);
            take(bytes, n as usize)
        }),
        Marker::Bin8 => binary(ruby, {
            let n = read!(read_data_u8);
            take(bytes, n.into())
        }),
        Marker::Bin16 => binary(ruby, {
            let n = read!(read_data_u16);
            take(bytes, n.into())
        }),
        Marker::Bin32 => binary(ruby, {
            let n = read!(read_data_u32);
            take(bytes, n as usize)
        }),
        Marker::FixArray(length) => array(ruby, bytes, length.into())?,
        Marker::Array16 => {
            let n = read!(read_data_u16);
            array(ruby, bytes, n.into())?
        }
        Marker::Array32 => {
            let n = read!(read_data_u32);
            array(ruby, bytes, n as usize)?
        }
        Marker::FixMap(length) => map(ruby, bytes, length.into())?,
        Marker::Map16 => {
            let n = read!(read_data_u16);
            map(ruby, bytes, n.into())?
        }
        Marker::Map32 => {
            let n = read!(read_data_u32);
            map(ruby, bytes, n as usize)?
        }
        _ => return Err(broken(())),
    };
    value.freeze();
    Ok(value)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    taken
}

fn text(ruby: &Ruby, bytes: &[u8]) -> Value {
    ruby.enc_str_new(bytes, ruby.utf8_encindex()).as_value()
}

fn binary(ruby: &Ruby, bytes: &[u8]) -> Value {
    ruby.str_from_slice(bytes).as_value()
}

fn array(ruby: &Ruby, bytes: &mut &[u8], length: usize) -> Result<Value, Error> {
    let array = ruby.ary_new();
    for _ in 0..length {
        array.push(decode(ruby, bytes)?)?;
    }
    Ok(array.as_value())
}

fn map(ruby: &Ruby, bytes: &mut &[u8], length: usize) -> Result<Value, Error> {
    let hash = ruby.hash_new();
    for _ in 0..length {
        let key = decode(ruby, bytes)?;
        hash.aset(key, decode(ruby, bytes)?)?;
    }
    Ok(hash.as_value())
}
