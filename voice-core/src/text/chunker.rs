//! Temporary.

/// Temporary.
#[derive(Debug, Default)]
pub struct Chunker(String, std::collections::VecDeque<String>);
impl Chunker {
    /// Push.
    pub fn push(&mut self, delta: &str) {
        for c in delta.chars() {
            self.0.push(c);
            if ".,?!".contains(c) {
                self.1.push_back(std::mem::take(&mut self.0));
            }
        }
    }
    /// Finish.
    pub fn finish(&mut self) {
        if !self.0.is_empty() {
            self.1.push_back(std::mem::take(&mut self.0));
        }
    }
    /// Poll.
    pub fn poll_clause(&mut self) -> Option<String> {
        self.1.pop_front()
    }
}
