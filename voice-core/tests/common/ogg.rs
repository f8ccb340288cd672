//! An Ogg/Opus muxer for tests, after RFC 3533 and RFC 7845.

fn crc(page: &[u8]) -> u32 {
    page.iter().fold(0u32, |mut crc, &byte| {
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = if crc & 0x8000_0000 != 0 { (crc << 1) ^ 0x04C1_1DB7 } else { crc << 1 };
        }
        crc
    })
}

/// One page from ready segment lengths.
pub fn page(flags: u8, granule: u64, serial: u32, sequence: u32, lengths: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = b"OggS\0".to_vec();
    out.push(flags);
    out.extend(granule.to_le_bytes());
    out.extend(serial.to_le_bytes());
    out.extend(sequence.to_le_bytes());
    out.extend([0; 4]);
    out.push(lengths.len() as u8);
    out.extend(lengths);
    out.extend(body);
    let sum = crc(&out);
    out[22..26].copy_from_slice(&sum.to_le_bytes());
    out
}

/// One page of whole packets.
pub fn packets_page(flags: u8, granule: u64, serial: u32, sequence: u32, packets: &[&[u8]]) -> Vec<u8> {
    let (mut lengths, mut body) = (Vec::new(), Vec::new());
    for packet in packets {
        lengths.extend(vec![255; packet.len() / 255]);
        lengths.push((packet.len() % 255) as u8);
        body.extend(*packet);
    }
    page(flags, granule, serial, sequence, &lengths, &body)
}

pub fn head(channels: u8, pre_skip: u16, gain_q8: i16) -> Vec<u8> {
    let mut out = b"OpusHead\x01".to_vec();
    out.push(channels);
    out.extend(pre_skip.to_le_bytes());
    out.extend(48_000u32.to_le_bytes());
    out.extend(gain_q8.to_le_bytes());
    out.push(0);
    out
}

pub fn tags() -> Vec<u8> {
    b"OpusTags\x04\0\0\0test\0\0\0\0".to_vec()
}

/// How a file is laid out.
pub struct Layout {
    pub serial: u32,
    pub pre_skip: u16,
    pub gain_q8: i16,
    /// Packets on one page.
    pub per_page: usize,
    /// Samples at 48 kHz that the last granule position cuts off.
    pub trim: u64,
    pub eos: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self { serial: 7, pre_skip: 312, gain_q8: 0, per_page: 5, trim: 0, eos: true }
    }
}

/// The pages of a file of 20 ms packets: head, tags, audio.
pub fn pages(packets: &[Vec<u8>], layout: &Layout) -> Vec<Vec<u8>> {
    let Layout { serial, pre_skip, gain_q8, per_page, trim, eos } = *layout;
    let mut out = vec![
        packets_page(2, 0, serial, 0, &[&head(1, pre_skip, gain_q8)]),
        packets_page(0, 0, serial, 1, &[&tags()]),
    ];
    let count = packets.chunks(per_page).count();
    let mut granule = 0;
    for (i, group) in packets.chunks(per_page).enumerate() {
        granule += 960 * group.len() as u64;
        let last = eos && i + 1 == count;
        let group: Vec<&[u8]> = group.iter().map(Vec::as_slice).collect();
        let (flags, at) = if last { (4, granule - trim) } else { (0, granule) };
        out.push(packets_page(flags, at, serial, i as u32 + 2, &group));
    }
    out
}

pub fn file(packets: &[Vec<u8>], layout: &Layout) -> Vec<u8> {
    pages(packets, layout).concat()
}
