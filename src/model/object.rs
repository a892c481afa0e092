//! What a client sends as an object is read from an object only.
//!
//! A derived struct reads an array too, and takes its elements for its fields in the order in which they are declared:
//! `["alice", "username"]` would be a name in the namespace `alice`. Nobody means that.

/// Has a type, which derives its traits with `#[serde(remote = "Self")]`, read from an object only.
macro_rules! read_from_object {
    ($type:ident) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;
                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a JSON object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        <$type>::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_map(Object)
            }
        }
    };
}

/// The same for a type that is written, too.
macro_rules! object {
    ($type:ident) => {
        $crate::model::object::read_from_object!($type);
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$type>::serialize(self, serializer)
            }
        }
    };
}

pub(crate) use {object, read_from_object};
