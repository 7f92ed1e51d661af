//! DER (X.690), read strictly: definite and shortest lengths, and nothing left over inside or after an element.
//! General parsers of X.509 skip what stands after the last field that they know.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0] IMPLICIT SET`.
pub(super) const ATTRIBUTES: u8 = 0xa0;
const BIT_STRING: u8 = 0x03;

/// Not DER, or another element than the expected one.
#[derive(Debug, PartialEq)]
pub(super) struct Malformed;

/// One element: with its tag and length, and without.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) whole: &'a [u8],
    pub(super) content: &'a [u8],
}

/// The elements that are not yet read.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(der: &'a [u8]) -> Self {
        Self(der)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// The next element, which must have this tag.
    pub(super) fn element(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        let (header_bytes, content_bytes) = match *self.0 {
            [found, length @ 0..=0x7f, ..] if found == tag => (2, usize::from(length)),
            [found, 0x81, length @ 0x80..=0xff, ..] if found == tag => (3, usize::from(length)),
            [found, 0x82, high @ 1..=0xff, low, ..] if found == tag => {
                (4, usize::from(u16::from_be_bytes([high, low])))
            }
            // Longer elements do not occur within the size limit of a request.
            _ => return Err(Malformed),
        };
        let (whole, rest) = self
            .0
            .split_at_checked(header_bytes + content_bytes)
            .ok_or(Malformed)?;
        let content = whole.get(header_bytes..).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Element { whole, content })
    }

    /// The inside of the next element.
    pub(super) fn enter(&mut self, tag: u8) -> Result<Self, Malformed> {
        self.element(tag).map(|element| Self(element.content))
    }

    /// The bytes of a bit string, which must be whole bytes.
    pub(super) fn bit_string(&mut self) -> Result<&'a [u8], Malformed> {
        match self.element(BIT_STRING)?.content {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    /// The big-endian bytes of an integer above zero, without the zero that only keeps its sign.
    pub(super) fn positive_integer(&mut self) -> Result<&'a [u8], Malformed> {
        match self.element(INTEGER)?.content {
            [0, digits @ ..] if matches!(digits, [0x80..=0xff, ..]) => Ok(digits),
            digits @ [1..=0x7f, ..] => Ok(digits),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(der: &[u8]) -> Option<usize> {
        Reader::new(der)
            .element(SET)
            .ok()
            .map(|element| element.content.len())
    }

    #[test]
    fn lengths_are_shortest_and_definite() {
        let padded = |header: &[u8], length: usize| [header, &vec![0; length]].concat();
        assert_eq!(element(&[SET, 0]), Some(0));
        assert_eq!(element(&padded(&[SET, 0x7f], 0x7f)), Some(0x7f));
        assert_eq!(element(&padded(&[SET, 0x81, 0x80], 0x80)), Some(0x80));
        assert_eq!(element(&padded(&[SET, 0x82, 1, 0], 0x100)), Some(0x100));
        for refused in [
            padded(&[SET, 0x80], 2),
            padded(&[SET, 0x81, 0x7f], 0x7f),
            padded(&[SET, 0x82, 0, 0xff], 0xff),
            padded(&[SET, 0x83, 0, 1, 0], 0x100),
            padded(&[SET, 0x84, 0xff, 0xff, 0xff, 0xff], 9),
            padded(&[SET, 0xff], 9),
            padded(&[SET, 5], 4),
            padded(&[SEQUENCE, 0], 0),
            vec![SET],
            vec![],
        ] {
            assert_eq!(element(&refused), None, "{refused:02x?}");
        }
    }

    #[test]
    fn integers_and_bits() {
        let integer = |content: &[u8]| {
            let der = [&[INTEGER, content.len().to_le_bytes()[0]], content].concat();
            Reader::new(&der).positive_integer().map(<[u8]>::to_vec)
        };
        assert_eq!(integer(&[1]), Ok(vec![1]));
        assert_eq!(integer(&[0, 0x80]), Ok(vec![0x80]));
        for refused in [&[][..], &[0], &[0, 0], &[0, 1], &[0x80], &[0xff, 1]] {
            assert_eq!(integer(refused), Err(Malformed), "{refused:?}");
        }
        assert_eq!(Reader::new(&[3, 2, 0, 7]).bit_string(), Ok(&[7][..]));
        assert_eq!(Reader::new(&[3, 2, 1, 6]).bit_string(), Err(Malformed));
        assert_eq!(Reader::new(&[3, 0]).bit_string(), Err(Malformed));
    }
}
