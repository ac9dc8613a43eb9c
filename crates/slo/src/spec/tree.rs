//! YAML as a tree in which every scalar is the text that was written: `99.95` stays these five
//! characters and never becomes a binary fraction on the way to a decimal.
//!
//! A document is gone through twice: for its shape, and then, knowing the shape, for the text of
//! every scalar. It knows nothing of objectives.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use yaml_serde::Deserializer as Yaml;

/// Bytes of a file, and values in it once its aliases are followed.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
const NODES_MAX: u32 = 200_000;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// As written, without quotes; nothing at all is the empty text.
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file; a name may be there twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A field of a mapping.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => {
                entries.iter().find(|(known, _)| known == name).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// A scalar in a field, unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Self::Scalar(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The values of a list in a field.
    pub(crate) fn list(&self, name: &str) -> &[Self] {
        match self.get(name) {
            Some(Self::List(list)) => list,
            _ => &[],
        }
    }

    /// The fields of a mapping.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }
}

/// The documents of a text.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, String> {
    if text.len() > TEXT_BYTES_MAX {
        let size = text.len();
        return Err(format!("the file has {size} bytes, at most {TEXT_BYTES_MAX} are read"));
    }
    let nothing = |line: &str| line.trim_start().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(nothing) {
        // The library calls this the end of a file that has to go on.
        return Ok(Vec::new());
    }
    let mut left = NODES_MAX;
    let shapes = Yaml::from_str(text).map(|document| ShapeOf(&mut left).deserialize(document));
    let shapes = shapes.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let texts = Yaml::from_str(text).zip(&shapes);
    let nodes = texts.map(|(document, shape)| TextOf(shape).deserialize(document));
    nodes.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

#[derive(Debug)]
enum Shape {
    Scalar,
    List(Vec<Shape>),
    Map(Vec<Shape>),
}

struct ShapeOf<'a>(&'a mut u32);

impl<'de> DeserializeSeed<'de> for ShapeOf<'_> {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<Shape, D::Error> {
        *self.0 = self.0.checked_sub(1).ok_or_else(|| {
            de::Error::custom(format!("more than {NODES_MAX} values, aliases followed"))
        })?;
        document.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ShapeOf<'_> {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a list or a mapping")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_none<E: de::Error>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(shape) = list.next_element_seed(ShapeOf(self.0))? {
            shapes.push(shape);
        }
        Ok(Shape::List(shapes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(IgnoredAny) = map.next_key()? {
            shapes.push(map.next_value_seed(ShapeOf(self.0))?);
        }
        Ok(Shape::Map(shapes))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Shape, A::Error> {
        Err(de::Error::custom("tags (`!name`) mean nothing here"))
    }
}

struct TextOf<'a>(&'a Shape);

impl<'de> DeserializeSeed<'de> for TextOf<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<Node, D::Error> {
        match self.0 {
            Shape::Scalar => document.deserialize_str(self),
            Shape::List(_) => document.deserialize_seq(self),
            Shape::Map(_) => document.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for TextOf<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same document as before")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Scalar(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let Shape::List(shapes) = self.0 else {
            return Err(de::Error::custom("a list where there was none"));
        };
        let mut nodes = Vec::with_capacity(shapes.len());
        for shape in shapes {
            nodes.extend(list.next_element_seed(TextOf(shape))?);
        }
        // What follows has to be the end, which the library wants to be asked for.
        list.next_element::<IgnoredAny>()?;
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let Shape::Map(shapes) = self.0 else {
            return Err(de::Error::custom("a mapping where there was none"));
        };
        let mut entries = Vec::with_capacity(shapes.len());
        for shape in shapes {
            let Some(name) = map.next_key::<String>()? else { break };
            entries.push((name, map.next_value_seed(TextOf(shape))?));
        }
        map.next_key::<IgnoredAny>()?;
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, documents};

    fn scalar(text: &str) -> Node {
        Node::Scalar(text.to_owned())
    }

    #[test]
    fn scalars_are_what_was_written() {
        let text = "a: 99.950000000000000001\nb: 1e2\nc: '007'\nd:\ne: [0x10, true, ~, \"x\\ty\"]";
        let Node::Map(entries) = documents(text).unwrap().remove(0) else { panic!("no mapping") };
        let values: Vec<Node> = entries.into_iter().map(|(_, value)| value).collect();
        let list = ["0x10", "true", "~", "x\ty"].map(scalar).to_vec();
        let expected = ["99.950000000000000001", "1e2", "007", ""].map(scalar);
        assert_eq!(values[..4], expected);
        assert_eq!(values[4], Node::List(list));
    }

    #[test]
    fn aliases_are_followed_and_bounded() {
        let text = "a: &x {k: 1.0}\nb: *x";
        let Node::Map(entries) = documents(text).unwrap().remove(0) else { panic!("no mapping") };
        assert_eq!(entries[0].1, entries[1].1);
        let mut bomb = "l0: &l0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for level in 1..9 {
            let list = vec![format!("*l{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("l{level}: &l{level} [{list}]\n"));
        }
        let error = documents(&bomb).unwrap_err();
        assert!(error.contains("200000 values") || error.contains("repetition"), "{error}");
        assert!(documents("a: &x [*x]").is_err(), "a list in itself");
        assert!(documents(&"[".repeat(2000)).is_err());
        assert!(documents(&" ".repeat(super::TEXT_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn several_documents_tags_and_nothing() {
        assert_eq!(documents("a\n---\nb\n").unwrap(), ["a", "b"].map(scalar));
        assert!(documents("a: !secret b").unwrap_err().contains("tags"));
        assert_eq!(documents("").unwrap(), []);
        assert_eq!(documents(" # nothing\n\n").unwrap(), []);
        assert_eq!(documents("a\n---\n").unwrap(), ["a", ""].map(scalar));
        assert!(documents("a: [").is_err());
    }
}
