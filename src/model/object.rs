//! Reads what a client sends as a JSON object from an object only.
//!
//! A derived `Deserialize` of a struct also reads an array, and takes its elements as the fields in the order in which
//! they are declared: `["alice", "username"]` would be a name in the namespace `alice`. Nobody means that.

/// Implements `Deserialize`, from an object only, for a type that derives its traits with `#[serde(remote = "Self")]`.
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

/// Implements both `Deserialize`, from an object only, and `Serialize` for such a type.
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
