//! Stateful reconnect: what was sent and not acknowledged, and what was received.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::protocol::{Message, Protocol, ProtocolError};

/// The counters and the buffer of one connection. Only counted messages (types 1 to 5) pass through it.
#[derive(Debug)]
pub(crate) struct MessageBuffer {
    limit: usize,
    sent: VecDeque<Bytes>,
    bytes: usize,
    /// The id of the first message in `sent`; with none, of the next to be sent.
    first: i64,
    /// The id that the next message from the peer has.
    next_received: i64,
    /// The highest id ever received, whatever is repeated now.
    highest_received: i64,
    acknowledged: i64,
    /// After a reconnect everything is dropped until the peer's sequence message.
    waits_for_sequence: bool,
}

impl MessageBuffer {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            sent: VecDeque::new(),
            bytes: 0,
            first: 1,
            next_received: 1,
            highest_received: 0,
            acknowledged: 0,
            waits_for_sequence: false,
        }
    }

    /// How many bytes may still be sent before the peer must acknowledge. An empty buffer takes any message.
    pub fn room(&self) -> usize {
        if self.sent.is_empty() { usize::MAX } else { self.limit.saturating_sub(self.bytes) }
    }

    pub fn store(&mut self, message: &Bytes) {
        self.bytes += message.len();
        self.sent.push_back(message.clone());
    }

    /// The peer has everything up to `id`.
    pub fn acknowledge(&mut self, id: i64) {
        while self.first <= id
            && let Some(message) = self.sent.pop_front()
        {
            self.bytes -= message.len();
            self.first += 1;
        }
    }

    /// Whether a message is to be handled: not one seen already, nor one before the peer's Sequence.
    pub fn admits(&mut self, message: &Message) -> bool {
        if self.waits_for_sequence {
            return !message.is_counted();
        }
        if !message.is_counted() {
            return true;
        }
        let id = self.next_received;
        self.next_received += 1;
        if id <= self.highest_received {
            return false;
        }
        self.highest_received = id;
        true
    }

    /// The peer's sequence message: the id of its next message.
    pub fn resume_at(&mut self, id: i64) -> Result<(), ProtocolError> {
        if id > self.highest_received + 1 || id < 1 {
            return Err(ProtocolError::invalid("Sequence ID greater than amount of messages we've received."));
        }
        self.waits_for_sequence = false;
        self.next_received = id;
        Ok(())
    }

    /// The acknowledgement that is due, if any.
    pub fn due_acknowledgement(&mut self) -> Option<Message> {
        (self.highest_received > self.acknowledged).then(|| {
            self.acknowledged = self.highest_received;
            Message::Ack { sequence_id: self.acknowledged }
        })
    }

    /// What a new transport sends first: our sequence message, and all that was not acknowledged.
    pub fn replay(&mut self, protocol: Protocol) -> Vec<u8> {
        self.waits_for_sequence = true;
        // The last acknowledgement may have been lost with the transport: it is due again.
        self.acknowledged = 0;
        let mut bytes = protocol.write(&Message::Sequence { sequence_id: self.first }).to_vec();
        for message in &self.sent {
            bytes.extend_from_slice(message);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Outcome;

    fn counted() -> Message {
        Message::Completion { headers: Vec::new(), invocation_id: "1".to_owned(), outcome: Outcome::Void }
    }

    #[test]
    fn what_was_not_acknowledged_is_told_again_from_the_first_of_it() {
        let mut buffer = MessageBuffer::new(5);
        for message in ["a", "b", "c"] {
            buffer.store(&Bytes::from_static(message.as_bytes()));
        }
        assert_eq!(buffer.room(), 2);
        buffer.acknowledge(1);
        assert_eq!(buffer.replay(Protocol::Json), b"{\"type\":9,\"sequenceId\":2}\x1ebc");
        buffer.acknowledge(3);
        assert_eq!(buffer.replay(Protocol::Json), b"{\"type\":9,\"sequenceId\":4}\x1e");
        assert_eq!(buffer.room(), usize::MAX);
        buffer.acknowledge(99);
        assert_eq!(buffer.first, 4, "an acknowledgement of what was never sent changes nothing");
    }

    #[test]
    fn repeated_messages_are_dropped_and_gaps_are_errors() {
        let mut buffer = MessageBuffer::new(5);
        assert!(buffer.admits(&counted()) && buffer.admits(&counted()) && buffer.admits(&Message::Ping));
        assert_eq!(buffer.due_acknowledgement(), Some(Message::Ack { sequence_id: 2 }));
        assert_eq!(buffer.due_acknowledgement(), None);
        buffer.replay(Protocol::Json);
        assert!(!buffer.admits(&counted()), "nothing counts before the peer's Sequence");
        assert!(buffer.resume_at(4).is_err() && buffer.resume_at(0).is_err());
        buffer.resume_at(2).unwrap();
        assert!(!buffer.admits(&counted()), "2 was seen");
        assert_eq!(buffer.due_acknowledgement(), Some(Message::Ack { sequence_id: 2 }), "once more: it may be lost");
        assert!(buffer.admits(&counted()), "3 is new");
        assert_eq!(buffer.due_acknowledgement(), Some(Message::Ack { sequence_id: 3 }));
    }
}
