use std::mem;

/// Longest event in bytes: a statement of ten thousand entries. What was missed and does not fit is fetched as a
/// snapshot instead.
pub(super) const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// Reads a stream of events (WHATWG HTML section 9.2.6), as far as the feed needs it: the data of each event.
#[derive(Default)]
pub(super) struct EventReader {
    line: Vec<u8>,
    data: Vec<u8>,
    /// Whether the event so far has a `data` line, and a type other than a statement.
    has_data: bool,
    foreign: bool,
    /// The last byte was a carriage return, so that a line feed now belongs to it.
    after_return: bool,
}

/// An event that is longer than [`MAX_EVENT_BYTES`]; the stream cannot be read any further.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventTooLong;

impl EventReader {
    /// Takes the next bytes, and adds the data of each event that they complete to `events`.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        events: &mut Vec<String>,
    ) -> Result<(), EventTooLong> {
        for byte in bytes {
            let after_return = mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                byte if self.line.len() + self.data.len() < MAX_EVENT_BYTES => {
                    self.line.push(*byte)
                }
                _ => return Err(EventTooLong),
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Option<String> {
        let line = mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => line.split_at(colon),
            None => (line.as_slice(), &[][..]),
        };
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => self.foreign = !matches!(value, b"" | b"message" | b"statement"),
            // `id` and `retry` are the server's hints, and comments keep the line open: the statement says it all.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<String> {
        let data = mem::take(&mut self.data);
        let complete = mem::take(&mut self.has_data) && !mem::take(&mut self.foreign);
        self.foreign = false;
        // Whatever is not UTF-8 is no statement; the verifier would say so.
        if complete {
            String::from_utf8(data).ok()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let (mut reader, mut events) = (EventReader::default(), Vec::new());
        for piece in pieces {
            reader.read(piece, &mut events).unwrap();
        }
        events
    }

    #[test]
    fn events_in_all_spellings() {
        for stream in [
            "data: a\n\ndata: b\n\n",
            "data:a\r\n\r\ndata:b\r\n\r\n",
            "data: a\r\rdata: b\r\r",
            ": hello\n\nid: e.1\nevent: statement\ndata: a\n\nretry: 5\nevent: message\ndata: b\n\n",
            "event: other\ndata: x\n\ndata: a\n\nevent: other\n\ndata: b\n\ndata: unfinished",
        ] {
            assert_eq!(read(&[stream.as_bytes()]), ["a", "b"], "{stream:?}");
            let bytes: Vec<_> = stream.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes), ["a", "b"], "byte by byte: {stream:?}");
        }
        assert_eq!(read(&[b"data: a\ndata: b\ndata\n\n"]), ["a\nb\n"]);
        assert_eq!(
            read(&[b"\n\n\nid: 1\n\ndata: \xff\n\n"]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn endless_lines_end() {
        let mut reader = EventReader::default();
        let chunk = vec![b'x'; 64 * 1024];
        let mut events = Vec::new();
        let refused = (0..100).find_map(|_| reader.read(&chunk, &mut events).err());
        assert_eq!(refused, Some(EventTooLong));
        // Many short lines of one event count together.
        let mut reader = EventReader::default();
        let lines = b"data: 0123456789\n".repeat(4096);
        let refused = (0..100).find_map(|_| reader.read(&lines, &mut events).err());
        assert_eq!((refused, events.len()), (Some(EventTooLong), 0));
    }
}
