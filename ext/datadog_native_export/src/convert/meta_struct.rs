//! `meta_struct` values: Ruby objects to MessagePack and back.

use super::nesting::Nesting;
use super::text::read_string;
use super::{Lowering, Policy};
use crate::errors::{Failure, Kind};
use crate::ruby::{Encodings, RubyInteger, StringFacts, copy_bytes, each_pair, values_from};
use libdd_tinybytes::{Bytes, BytesString};
use magnus::value::{Qfalse, Qtrue, ReprValue};
use magnus::{Error, Float, IntoValue, Module, RArray, RHash, RString, Ruby, Symbol, Value};
use pipeline::span::{AGENT_MAX_BYTES, VecMap};
use rmp::encode::{self, ByteBuf};
use rmpv::ValueRef;

const KINDS: &str = "nil, true, false, Integer, Float, String, Symbol, Array, Hash, or an object with to_msgpack, \
                     to_h, to_ary or to_str";
/// Bytes of the longest marker, which says what a value is and how long; numbers fit into it.
const LONGEST_MARKER: usize = 9;
/// How deep values may be inside each other in what `to_msgpack` makes: with what that is in, no deeper than can be read
/// back.
const DEEPEST_PACKED: usize = 512;
/// Room that is made for a value at first.
const USUAL_BYTES: usize = 64;
/// The same for the way to one inside it.
const USUAL_DEPTH: usize = 8;
const KEYS: &str = "String, Symbol or Integer as a key";

impl Lowering<'_> {
    /// Adds the entries of a Hash of structured values, or none for nil.
    ///
    /// # Errors
    /// For what can't be sent, as the policy says.
    pub fn meta_structs(
        &mut self,
        hash: Value,
        map: &mut VecMap<BytesString, Bytes>,
    ) -> Result<(), Failure> {
        let Some(hash) = self.hash(hash, "metastruct")? else {
            return Ok(());
        };
        each_pair(hash, |_, key, value| {
            let key = match self.text(key, || "metastruct key".into()) {
                Ok(key) => key.text,
                Err(reason) => return self.left_out(reason),
            };
            let encoded = self.meta_struct(&key, value);
            if let Some(encoded) = self.or_left_out(encoded)? {
                map.insert_or_replace(key, encoded);
            }
            Ok::<_, Failure>(())
        })
    }

    /// Encodes a structured value as MessagePack.
    ///
    /// # Errors
    /// For what can't be encoded, as the policy says, with a path that begins with `key`.
    pub fn meta_struct(&mut self, key: &BytesString, value: Value) -> Result<Bytes, Failure> {
        let nesting = Nesting::new(self.ruby);
        let mut path = Vec::with_capacity(USUAL_DEPTH);
        path.push(Step::Name(key.clone()));
        let mut encoder = Encoder {
            lowering: self,
            out: ByteBuf::with_capacity(USUAL_BYTES),
            path,
            nesting,
        };
        encoder.value(value)?;
        encoder.make_room(0)?;
        let encoded = encoder.out.into_vec();
        self.spend(encoded.len(), || key.copy_to_string())?;
        Ok(Bytes::from_underlying(encoded))
    }
}

struct Encoder<'e, 'l> {
    lowering: &'e mut Lowering<'l>,
    out: ByteBuf,
    /// Leads to the value that is being encoded.
    path: Vec<Step>,
    nesting: Nesting,
}

enum Step {
    Name(BytesString),
    Key(Value),
    Index(usize),
}

impl Encoder<'_, '_> {
    /// Encodes a value, or nil in its place if it may be left out: no more than the innermost value is lost.
    fn value(&mut self, value: Value) -> Result<(), Failure> {
        self.make_room(0)?;
        let (start, steps) = (self.out.as_slice().len(), self.path.len());
        let depth = self.nesting.depth();
        let Err(reason) = self.try_value(value) else {
            return Ok(());
        };
        // More than any agent takes is no matter of one value inside.
        if self.out.as_slice().len() > AGENT_MAX_BYTES {
            return Err(reason);
        }
        self.path.truncate(steps);
        self.nesting.return_to(depth);
        self.lowering.left_out(reason)?;
        self.out.as_mut_vec().truncate(start);
        written(encode::write_nil(&mut self.out));
        Ok(())
    }

    fn try_value(&mut self, value: Value) -> Result<(), Failure> {
        if let Some(string) = RString::from_value(value) {
            self.string(string)
        } else if Symbol::from_value(value).is_some() {
            self.text(value)
        } else if let Some(whole) = RubyInteger::from_value(value) {
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
            self.object(value)
        }
    }

    /// Encodes an object by what it says of itself, as the `msgpack` gem would.
    #[cold]
    fn object(&mut self, value: Value) -> Result<(), Failure> {
        if value.respond_to("to_msgpack", false)? {
            return self.embed(value);
        }
        for conversion in ["to_h", "to_ary", "to_str"] {
            if !value.respond_to(conversion, false)? {
                continue;
            }
            let converted: Value = value.funcall_public(conversion, ())?;
            if let Some(hash) = RHash::from_value(converted) {
                return self.nested(value, |encoder| encoder.hash(hash));
            }
            if let Some(array) = RArray::from_value(converted) {
                return self.nested(value, |encoder| encoder.array(array));
            }
            if let Some(string) = RString::from_value(converted) {
                return self.string(string);
            }
        }
        Err(Failure::wrong_class(self.path(), KINDS, value))
    }

    /// Embeds what an object makes of itself by `to_msgpack`, if it is MessagePack of just one value.
    fn embed(&mut self, value: Value) -> Result<(), Failure> {
        let packed = self.packed(value)?;
        let bytes = match RString::from_value(packed) {
            Some(string) => {
                self.make_room(string.len())?;
                copy_bytes(string).ok_or_else(|| self.no_memory())?
            }
            None => Vec::new(),
        };
        let mut rest = &bytes[..];
        let read = rmpv::decode::read_value_ref_with_max_depth(&mut rest, DEEPEST_PACKED);
        if read.is_err() || !rest.is_empty() {
            let expected = "one value of MessagePack from to_msgpack";
            return Err(Failure::wrong_class(self.path(), expected, value));
        }
        self.out.as_mut_vec().extend_from_slice(&bytes);
        Ok(())
    }

    /// Returns what an object makes of itself: by the `msgpack` gem, if that is loaded, since many objects expect to be
    /// passed its packer.
    fn packed(&self, value: Value) -> Result<Value, Failure> {
        const GEM: &str = "MessagePack";
        let object = self.lowering.ruby.class_object();
        let is_loaded: bool = object.funcall("const_defined?", (GEM,))?;
        if !is_loaded {
            return Ok(value.funcall_public("to_msgpack", ())?);
        }
        let gem: Value = object.const_get(GEM)?;
        Ok(gem.funcall_public("pack", (value,))?)
    }

    /// Makes room for a value of so many bytes and its marker. What is written without is room that the buffer makes
    /// itself, which ends the process where there is no memory.
    fn make_room(&mut self, bytes: usize) -> Result<(), Failure> {
        if self.out.as_slice().len() + bytes > AGENT_MAX_BYTES {
            let problem = format!("expected at most {AGENT_MAX_BYTES} bytes of MessagePack");
            return Err(Failure::new(Kind::Argument, self.path(), problem));
        }
        let room = self.out.as_mut_vec().try_reserve(bytes + LONGEST_MARKER);
        room.map_err(|_| self.no_memory())
    }

    /// Encodes a String. A binary one is text if it can be.
    fn string(&mut self, string: RString) -> Result<(), Failure> {
        self.make_room(string.len())?;
        let facts = StringFacts::of(string);
        if facts.encoding() == Encodings::BINARY && !facts.is_known_ascii() {
            let bytes = copy_bytes(string).ok_or_else(|| self.no_memory())?;
            if str::from_utf8(&bytes).is_err() {
                written(encode::write_bin(&mut self.out, &bytes));
                return Ok(());
            }
        }
        self.text(string.as_value())
    }

    fn no_memory(&self) -> Failure {
        Failure::new(Kind::NoMemory, self.path(), "failed to allocate memory")
    }

    fn text(&mut self, value: Value) -> Result<(), Failure> {
        let path = &self.path;
        let text = self.lowering.text(value, || path_text(path))?.text;
        self.make_room(text.as_str().len())?;
        written(encode::write_str(&mut self.out, text.as_str()));
        Ok(())
    }

    fn integer(&mut self, whole: &RubyInteger, value: Value) -> Result<(), Failure> {
        if let Some(integer) = whole.to::<u64>() {
            written(encode::write_uint(&mut self.out, integer));
        } else if let Some(integer) = whole.to::<i64>() {
            written(encode::write_sint(&mut self.out, integer));
        } else {
            let expected = "-2**63 to 2**64-1";
            return Err(Failure::out_of_range(self.path(), expected, value));
        }
        Ok(())
    }

    fn nested(
        &mut self,
        value: Value,
        encode: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let depth = self.nesting.depth();
        let path = &self.path;
        self.nesting.enter(value, || path_text(path))?;
        encode(self)?;
        self.nesting.return_to(depth);
        Ok(())
    }

    fn array(&mut self, array: RArray) -> Result<(), Failure> {
        let length = array.len();
        written(encode::write_array_len(&mut self.out, length as u32));
        for index in 0..length {
            // Read one by one: what elements are converted by may change the Array.
            let [element] = values_from(array, index);
            let element = element.unwrap_or_else(|| self.lowering.ruby.qnil().as_value());
            self.step(Step::Index(index), |encoder| encoder.value(element))?;
        }
        Ok(())
    }

    fn hash(&mut self, hash: RHash) -> Result<(), Failure> {
        let length = hash.len();
        written(encode::write_map_len(&mut self.out, length as u32));
        let mut encoded = 0;
        each_pair(hash, |_, key, value| {
            encoded += 1;
            self.key(key)?;
            self.step(Step::Key(key), |encoder| encoder.value(value))
        })?;
        if encoded == length {
            return Ok(());
        }
        let problem = "the Hash was changed while it was read";
        Err(Failure::new(Kind::Runtime, self.path(), problem))
    }

    fn key(&mut self, key: Value) -> Result<(), Failure> {
        if let Some(whole) = RubyInteger::from_value(key) {
            return self.integer(&whole, key);
        }
        let is_text = RString::from_value(key).is_some() || Symbol::from_value(key).is_some();
        if is_text {
            return self.text(key);
        }
        if self.lowering.policy != Policy::Lenient {
            return Err(Failure::wrong_class(self.path(), KEYS, key));
        }
        self.lowering.tally.repaired += 1;
        let text: Value = key.funcall_public("to_s", ())?;
        self.text(text)
    }

    fn step(
        &mut self,
        step: Step,
        encode: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.path.push(step);
        encode(self)?;
        self.path.pop();
        Ok(())
    }

    fn path(&self) -> String {
        path_text(&self.path)
    }
}

/// Returns a path as errors show it: `appsec.events[3].when`.
fn path_text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Name(name) => text.push_str(name.as_str()),
            Step::Key(key) => {
                text.push('.');
                text.extend(key.to_string().chars().take(60));
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn written<T, E>(result: Result<T, E>) {
    // A buffer in memory takes everything.
    if result.is_err() {
        unreachable!("writing to memory failed");
    }
}

/// Returns the Ruby object that MessagePack from [`Lowering::meta_struct`] stands for, frozen throughout.
///
/// # Errors
/// When it is not MessagePack, or Ruby has no memory for it.
pub fn to_ruby(ruby: &Ruby, mut bytes: &[u8]) -> Result<Value, Error> {
    match rmpv::decode::read_value_ref(&mut bytes) {
        Ok(value) => value_to_ruby(ruby, &value),
        Err(problem) => {
            let message = format!("meta_struct: {problem}");
            Err(Error::new(ruby.exception_runtime_error(), message))
        }
    }
}

fn value_to_ruby(ruby: &Ruby, value: &ValueRef) -> Result<Value, Error> {
    let value = match value {
        ValueRef::Nil => ruby.qnil().as_value(),
        ValueRef::Boolean(boolean) => boolean.into_value_with(ruby),
        ValueRef::Integer(number) => match number.as_u64() {
            Some(number) => number.into_value_with(ruby),
            None => number.as_i64().into_value_with(ruby),
        },
        ValueRef::F32(number) => number.into_value_with(ruby),
        ValueRef::F64(number) => number.into_value_with(ruby),
        ValueRef::String(text) => match text.as_str() {
            Some(text) => read_string(ruby, text).as_value(),
            None => ruby.str_from_slice(text.as_bytes()).as_value(),
        },
        ValueRef::Binary(bytes) | ValueRef::Ext(_, bytes) => ruby.str_from_slice(bytes).as_value(),
        ValueRef::Array(values) => {
            let array = ruby.ary_new_capa(values.len());
            for value in values {
                array.push(value_to_ruby(ruby, value)?)?;
            }
            array.as_value()
        }
        ValueRef::Map(entries) => {
            let hash = ruby.hash_new();
            for (key, value) in entries {
                hash.aset(value_to_ruby(ruby, key)?, value_to_ruby(ruby, value)?)?;
            }
            hash.as_value()
        }
    };
    value.freeze();
    Ok(value)
}
