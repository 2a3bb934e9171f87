//! `port::Log` and `port::Publisher` on rdkafka, and the topics.
