//! A WAV muxer for tests.

/// A chunk with its padding.
pub fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = id.to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out.extend(vec![0; body.len() % 2]);
    out
}

/// A `fmt ` chunk of 16 bytes.
pub fn format(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut body = Vec::new();
    body.extend(tag.to_le_bytes());
    body.extend(channels.to_le_bytes());
    body.extend(rate.to_le_bytes());
    body.extend((rate * u32::from(block)).to_le_bytes());
    body.extend(block.to_le_bytes());
    body.extend(bits.to_le_bytes());
    chunk(b"fmt ", &body)
}

/// A whole file of ready chunks and data whose stated length may be a lie.
pub fn file(chunks: &[Vec<u8>], stated: u32, data: &[u8]) -> Vec<u8> {
    let mut out = b"RIFF\xFF\xFF\xFF\xFFWAVE".to_vec();
    chunks.iter().for_each(|chunk| out.extend(chunk));
    out.extend(b"data");
    out.extend(stated.to_le_bytes());
    out.extend(data);
    out
}

/// Samples as 16-bit bytes.
pub fn s16(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// A plain 16-bit mono file.
pub fn mono16(rate: u32, samples: &[i16]) -> Vec<u8> {
    let data = s16(samples);
    file(&[format(1, 1, rate, 16)], data.len() as u32, &data)
}
