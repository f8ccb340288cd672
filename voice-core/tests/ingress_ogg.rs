//! Ogg/Opus: pre-skip, gain, end-trim, lost and repeated pages, chains.
#![allow(clippy::unwrap_used)]

mod common;

use common::{assert_any_split_is_the_same, decoded, hear, hear_whole, ogg, opus_packets, rms};
use ogg::Layout;
use voice_core::ingress::{Ingress, IngressError, Limits};

#[test]
fn a_file_is_what_the_decoder_makes_of_it_less_the_pre_skip() {
    let (packets, _) = opus_packets(1.0);
    for pre_skip in [0, 1, 2, 3, 312, 313, 960, 3_840] {
        let file = ogg::file(&packets, &Layout { pre_skip, ..Default::default() });
        let heard = hear_whole(&file);
        heard.assert_is(&decoded(&packets, pre_skip));
        assert_eq!(heard.ends, [heard.frames()]);
    }
}

#[test]
fn the_last_granule_position_trims_the_end() {
    let (packets, _) = opus_packets(0.5);
    for trim in [0, 1, 2, 3, 480, 959, 961, 1_700, 4_000] {
        let heard = hear_whole(&ogg::file(&packets, &Layout { trim, ..Default::default() }));
        let whole = decoded(&packets, 0);
        let kept = (whole.len() * 3 - trim as usize).div_ceil(3);
        heard.assert_is(&whole[104..kept]);
    }
}

#[test]
fn a_file_of_one_page_is_trimmed_too() {
    let (packets, _) = opus_packets(0.1);
    let layout = Layout { per_page: 99, trim: 700, ..Default::default() };
    let whole = decoded(&packets, 0);
    hear_whole(&ogg::file(&packets, &layout)).assert_is(&whole[104..(whole.len() * 3 - 700).div_ceil(3)]);
}

#[test]
fn the_output_gain_is_applied() {
    let (packets, _) = opus_packets(1.0);
    let level =
        |gain_q8| rms(&hear_whole(&ogg::file(&packets, &Layout { gain_q8, ..Default::default() })).samples);
    let (plain, quieter, louder) = (level(0), level(-6 * 256), level(3 * 256));
    assert!((20.0 * (quieter / plain).log10() + 6.0).abs() < 0.05);
    assert!((20.0 * (louder / plain).log10() - 3.0).abs() < 0.05);
}

#[test]
fn a_packet_that_spans_pages_is_put_together() {
    let (packets, _) = common::encode_at(96_000, &common::voice(16_000, 0.4));
    let merged: Vec<Vec<u8>> = packets.chunks(5).map(common::merge).collect();
    // Segments of 255 bytes are spread over pages of one segment each, so every packet spans several.
    let mut pages = vec![
        ogg::packets_page(2, 0, 1, 0, &[&ogg::head(1, 0, 0)]),
        ogg::packets_page(0, 0, 1, 1, &[&ogg::tags()]),
    ];
    let mut granule = 0;
    for packet in &merged {
        granule += 4_800;
        let mut pieces: Vec<&[u8]> = packet.chunks(255).collect();
        if packet.len() % 255 == 0 {
            pieces.push(&[]);
        }
        assert!(pieces.len() > 1, "the packet is long enough to span pages");
        for (i, piece) in pieces.iter().enumerate() {
            let last = i + 1 == pieces.len();
            let (flags, at) = (u8::from(i > 0), if last { granule } else { u64::MAX });
            pages.push(ogg::page(flags, at, 1, pages.len() as u32, &[piece.len() as u8], piece));
        }
    }
    hear_whole(&pages.concat()).assert_is(&decoded(&merged, 0));
    // With a middle page lost, its packet is concealed and time goes on.
    let pages: Vec<&[u8]> = pages.iter().map(Vec::as_slice).collect();
    let lossy: Vec<&[u8]> = pages.iter().enumerate().filter(|(i, _)| *i != 9).map(|(_, p)| *p).collect();
    let heard = hear(None, lossy);
    assert_eq!(heard.error, None);
    assert_eq!(heard.samples.len(), decoded(&merged, 0).len());
    assert!(heard.concealed_frames() >= 4);
}

#[test]
fn lost_pages_are_concealed_and_time_goes_on() {
    let (packets, _) = opus_packets(2.0);
    let pages = ogg::pages(&packets, &Layout::default());
    let whole = hear(None, pages.iter().map(Vec::as_slice));
    let lossy =
        hear(None, pages.iter().enumerate().filter(|(i, _)| ![7, 8].contains(i)).map(|(_, p)| p.as_slice()));
    assert_eq!(lossy.frames(), whole.frames());
    // Two pages of five packets each are lost.
    assert!((9..=11).contains(&lossy.concealed_frames()), "{}", lossy.concealed_frames());
    let tail = 16_000..31_000;
    let (score, shift) = common::likeness(&lossy.samples[tail.clone()], &whole.samples[tail], 10);
    assert!(score > 0.99 && shift == 0, "{score} at {shift}");
}

#[test]
fn a_long_hole_is_shortened_to_five_seconds() {
    let (packets, _) = opus_packets(30.0);
    let pages = ogg::pages(&packets, &Layout::default());
    let lossy = hear(
        None,
        pages.iter().enumerate().filter(|(i, _)| !(12..202).contains(i)).map(|(_, p)| p.as_slice()),
    );
    assert_eq!(lossy.concealed_frames(), 250);
}

#[test]
fn repeated_pages_are_heard_once() {
    let (packets, _) = opus_packets(1.0);
    let pages = ogg::pages(&packets, &Layout::default());
    let whole = hear(None, pages.iter().map(Vec::as_slice));
    let mut twice: Vec<&[u8]> = pages.iter().map(Vec::as_slice).collect();
    twice.insert(6, &pages[5]);
    twice.insert(6, &pages[4]);
    assert!(hear(None, twice) == whole);
}

#[test]
fn a_damaged_page_is_a_lost_page() {
    let (packets, _) = opus_packets(1.0);
    let mut pages = ogg::pages(&packets, &Layout::default());
    let whole = hear(None, pages.iter().map(Vec::as_slice));
    let middle = pages[6].len() / 2;
    pages[6][middle] ^= 0x40;
    let heard = hear(None, pages.iter().map(Vec::as_slice));
    assert_eq!(heard.frames(), whole.frames());
    assert!((4..=6).contains(&heard.concealed_frames()));
}

#[test]
fn chained_streams_go_on_in_one_timeline() {
    let (packets, _) = opus_packets(0.5);
    let (one, two) = (Layout::default(), Layout { serial: 8, ..Default::default() });
    let chain = [ogg::file(&packets, &one), ogg::file(&packets, &two)].concat();
    let heard = hear_whole(&chain);
    let link = decoded(&packets, 312);
    let frames = link.len().div_ceil(320);
    assert_eq!(heard.ends, [frames, 2 * frames]);
    assert_eq!(&heard.samples[..link.len()], &link[..]);
    assert_eq!(&heard.samples[frames * 320..][..link.len()], &link[..]);
    // The same without the mark of the end, as a recorder that starts anew sends it.
    let open = Layout { eos: false, ..Default::default() };
    let restarted = [ogg::file(&packets, &open), ogg::file(&packets, &open)].concat();
    assert_eq!(hear_whole(&restarted).ends, [frames, 2 * frames]);
}

#[test]
fn a_last_page_that_comes_twice_is_passed_over_at_every_split_point() {
    let (packets, pre_skip) = opus_packets(0.12);
    let pages = ogg::pages(&packets, &Layout { pre_skip, per_page: 3, ..Default::default() });
    let alone = hear_whole(&pages.concat());
    let mut twice = pages.clone();
    twice.extend(pages.last().cloned());
    assert!(assert_any_split_is_the_same(&twice.concat()) == alone);
    // What follows is still found.
    twice.extend(ogg::pages(&packets, &Layout { serial: 8, pre_skip, per_page: 3, ..Default::default() }));
    let heard = assert_any_split_is_the_same(&twice.concat());
    assert_eq!((heard.error, heard.ends), (None, vec![alone.frames(), 2 * alone.frames()]));
}

#[test]
fn another_stream_that_ends_after_ours_is_passed_over_at_every_split_point() {
    let (packets, pre_skip) = opus_packets(0.12);
    let mut pages = ogg::pages(&packets, &Layout { pre_skip, per_page: 3, ..Default::default() });
    let alone = hear_whole(&pages.concat());
    pages.insert(0, ogg::packets_page(2, 0, 99, 0, &[b"\x80theora header"]));
    pages.push(ogg::packets_page(0, 5, 99, 1, &[b"picture"]));
    pages.push(ogg::packets_page(4, 9, 99, 2, &[b"OggS, the last picture"]));
    assert!(assert_any_split_is_the_same(&pages.concat()) == alone);
}

#[test]
fn a_stream_that_goes_on_behind_its_last_page_is_heard_at_every_split_point() {
    let (packets, pre_skip) = opus_packets(0.24);
    let layout = Layout { pre_skip, per_page: 3, ..Default::default() };
    let whole = hear_whole(&ogg::file(&packets, &layout));
    // The writer believed that the second page of audio was its last.
    let mut pages = ogg::pages(&packets, &layout);
    let early: Vec<&[u8]> = packets[3..6].iter().map(Vec::as_slice).collect();
    pages[3] = ogg::packets_page(4, 6 * 960, layout.serial, 3, &early);
    let heard = assert_any_split_is_the_same(&pages.concat());
    assert_eq!((heard.error.clone(), heard.concealed_frames()), (None, 0));
    let said = 6 * 320 - usize::from(pre_skip).div_ceil(3);
    assert_eq!(heard.ends, [6, 12], "the stated end is told at once");
    assert_eq!(heard.samples[..said], whole.samples[..said]);
    let rest = said..12 * 320 - usize::from(pre_skip).div_ceil(3);
    assert_eq!(heard.samples[6 * 320..][..rest.len()], whole.samples[rest]);
}

#[test]
fn rubbish_between_two_streams_is_passed_over_at_every_split_point_within_bounds() {
    let (packets, pre_skip) = opus_packets(0.1);
    let file = |serial| ogg::file(&packets, &Layout { serial, pre_skip, per_page: 3, ..Default::default() });
    let alone = hear_whole(&file(7));
    let rubbish = b"OggOggS rubbish OggS\0\x02 more OggS";
    let heard = assert_any_split_is_the_same(&[&file(7)[..], rubbish, &file(8)].concat());
    assert_eq!((heard.error, heard.ends), (None, vec![alone.frames(), 2 * alone.frames()]));
    assert_eq!(heard.samples, [&alone.samples[..], &alone.samples].concat());
    for (count, expected) in
        [(1_000_000, None), (1_100_000, Some("the stream is malformed: no recording follows"))]
    {
        let heard = hear_whole(&[&file(7)[..], &vec![0x55; count], &file(8)].concat());
        match (heard.error, expected) {
            (None, None) => assert_eq!(heard.ends.len(), 2),
            (Some(error), Some(expected)) => assert!(error.to_string().starts_with(expected), "{error}"),
            (error, _) => panic!("{count} bytes of rubbish: {error:?}"),
        }
    }
}

#[test]
fn firefox_may_send_its_last_page_twice() {
    let file = voice_fixtures::read("browser", "firefox-ogg-250.ogg").unwrap();
    let last = file.windows(4).rposition(|bytes| bytes == b"OggS").unwrap();
    let alone = hear_whole(&file);
    assert_eq!((alone.error.clone(), alone.ends.len()), (None, 1));
    let twice = [&file[..], &file[last..]].concat();
    for at in (last..twice.len()).step_by(7) {
        let (a, b) = twice.split_at(at);
        assert!(hear(None, [a, b]) == alone, "split at {at}");
    }
}

#[test]
fn a_stream_beside_ours_may_end_as_late_as_it_likes_but_unknown_pages_are_bounded() {
    let (packets, _) = opus_packets(0.1);
    let mut pages = ogg::pages(&packets, &Layout::default());
    let alone = hear_whole(&pages.concat());
    pages.insert(0, ogg::packets_page(2, 0, 99, 0, &[b"\x80theora header"]));
    let picture = vec![7; 60_000];
    pages.extend((1..40).map(|n| ogg::packets_page(0, 5, 99, n, &[&picture])));
    assert!(hear(None, pages.iter().map(Vec::as_slice)) == alone);
    pages.extend((1..40).map(|n| ogg::packets_page(0, 5, 77, n, &[&picture])));
    let error = hear(None, pages.iter().map(Vec::as_slice)).error.unwrap();
    assert_eq!(
        error.to_string(),
        "the stream is malformed: no recording follows after the end of the last one"
    );
}

#[test]
fn a_stream_without_its_first_page_is_explained() {
    let (packets, _) = opus_packets(0.1);
    let pages = ogg::pages(&packets, &Layout::default());
    for from in [1, 2] {
        let error = hear_whole(&pages[from..].concat()).error;
        assert_eq!(error, Some(IngressError::StartMissing { container: "Ogg" }));
        assert!(error.unwrap().close_reason().contains("the start of this Ogg recording is missing"));
    }
}

#[test]
fn a_hole_before_the_last_page_takes_its_time() {
    let (packets, _) = opus_packets(1.0);
    let mut pages = ogg::pages(&packets, &Layout::default());
    let whole = hear_whole(&pages.concat());
    pages.remove(pages.len() - 2);
    let heard = hear_whole(&pages.concat());
    assert_eq!((heard.error.clone(), heard.frames()), (None, whole.frames()));
    assert!((4..=6).contains(&heard.concealed_frames()), "{}", heard.concealed_frames());
}

#[test]
fn a_packet_that_cannot_be_decoded_takes_its_time() {
    let (mut packets, _) = opus_packets(1.0);
    let whole = hear_whole(&ogg::file(&packets, &Layout::default()));
    // One frame of 20 ms with more padding than there are bytes.
    packets[23] = vec![0xFB, 0x41, 9, 7, 0];
    let heard = hear_whole(&ogg::file(&packets, &Layout::default()));
    assert_eq!((heard.error.clone(), heard.frames()), (None, whole.frames()));
    assert!((1..=2).contains(&heard.concealed_frames()), "{}", heard.concealed_frames());
    let tail = 10_000..15_000;
    let (score, shift) = common::likeness(&heard.samples[tail.clone()], &whole.samples[tail], 10);
    assert!(score > 0.99 && shift == 0, "{score} at {shift}");
}

#[test]
fn any_number_of_empty_packets_is_concealed() {
    let (mut packets, _) = opus_packets(2.0);
    packets[20..80].iter_mut().for_each(Vec::clear);
    let layout = Layout { pre_skip: 0, ..Default::default() };
    let heard = hear_whole(&ogg::file(&packets, &layout));
    assert_eq!((heard.error.clone(), heard.frames(), heard.concealed_frames()), (None, 100, 60));
    // Within a page too: it is known how long the page is, but not where in it something is missing.
    packets[7].clear();
    let heard = hear_whole(&ogg::file(&packets, &layout));
    assert_eq!((heard.error.clone(), heard.frames(), heard.concealed_frames()), (None, 100, 61));
}

#[test]
fn rubbish_between_pages_is_passed_over_within_bounds() {
    let (packets, _) = opus_packets(0.5);
    let mut pages = ogg::pages(&packets, &Layout::default());
    let whole = hear(None, pages.iter().map(Vec::as_slice));
    pages.insert(4, b"OggOggSOgg rubbish OggS".to_vec());
    assert!(hear(None, pages.iter().map(Vec::as_slice)) == whole);
    pages.truncate(4);
    pages.push(vec![0x55; 2 << 20]);
    let error = hear(None, pages.iter().map(Vec::as_slice)).error.unwrap();
    assert_eq!(error.to_string(), "Ogg is malformed: no intact page follows");
}

#[test]
fn another_stream_beside_ours_is_passed_over() {
    let (packets, _) = opus_packets(0.3);
    let mut pages = ogg::pages(&packets, &Layout::default());
    let alone = hear(None, pages.iter().map(Vec::as_slice));
    pages.insert(0, ogg::packets_page(2, 0, 99, 0, &[b"\x80theora header"]));
    pages.insert(4, ogg::packets_page(0, 5, 99, 1, &[b"picture"]));
    assert!(hear(None, pages.iter().map(Vec::as_slice)) == alone);
}

#[test]
fn vorbis_in_ogg_is_named() {
    let pages = [
        ogg::packets_page(2, 0, 1, 0, &[b"\x01vorbis more"]),
        ogg::packets_page(0, 0, 1, 1, &[b"\x03vorbis comments"]),
    ];
    let error = hear_whole(&pages.concat()).error.unwrap();
    assert!(error.to_string().starts_with("this is Ogg/Vorbis; accepted: "), "{error}");
}

#[test]
fn large_comments_are_not_held() {
    let (packets, _) = opus_packets(0.2);
    let mut pages = ogg::pages(&packets, &Layout::default());
    let whole = hear(None, pages.iter().map(Vec::as_slice));
    // A picture of 1 MiB in the comments, over 17 pages.
    let mut tags = b"OpusTags".to_vec();
    tags.extend(vec![3; 1 << 20]);
    let mut comment = Vec::new();
    let mut sequence = 1;
    for (i, piece) in tags.chunks(255 * 255).enumerate() {
        let mut lengths = vec![255; piece.len() / 255];
        if lengths.len() < 255 {
            lengths.push((piece.len() % 255) as u8);
        }
        comment.push(ogg::page(u8::from(i > 0), u64::MAX, 7, sequence, &lengths, piece));
        sequence += 1;
    }
    pages.splice(1..2, comment);
    let mut ingress = Ingress::sniffing(Limits::default());
    let mut heard = common::Heard::default();
    for page in &pages[..sequence as usize] {
        ingress.push(page).unwrap();
        assert!(heard.pull(&mut ingress));
        assert_eq!(ingress.buffered_bytes(), 0);
    }
    let renumbered: Vec<Vec<u8>> = pages[sequence as usize..].to_vec();
    for page in &renumbered {
        ingress.push(page).unwrap();
        heard.pull(&mut ingress);
    }
    assert_eq!(heard.error, None);
    // The audio pages kept their old numbers, so the reader sees them as repeated only if they are not new audio.
    assert_eq!(heard.frames(), whole.frames());
}

#[test]
fn the_format_is_told_in_words() {
    let (packets, _) = opus_packets(0.1);
    let mut ingress = Ingress::sniffing(Limits::default());
    ingress.push(&ogg::file(&packets, &Layout::default())).unwrap();
    ingress.poll_frame(&mut [0; 320]).unwrap();
    assert_eq!(ingress.format().unwrap().to_string(), "Ogg/Opus, 48 kHz mono");
    let none: Option<IngressError> = None;
    assert_eq!(hear_whole(&ogg::file(&packets, &Layout::default())).error, none);
}
