//! The unwind tables of the program and its libraries, as they lie in memory: how each function has
//! changed the stack at each of its addresses. What an entry says `gimli` reads; here it is found, by
//! the sorted table that each linker puts beside them (`.eh_frame_hdr`).

use gimli::{
    BaseAddresses, EhFrame, EhFrameOffset, LittleEndian, UnwindContext, UnwindSection,
    UnwindTableRow,
};

use crate::sys::asleep::Memory;

/// How a function has changed the stack at one of its addresses.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) row: UnwindTableRow<usize>,
    /// Where the function begins.
    pub(super) start: u64,
}

/// An entry is some hundred bytes long.
const ENTRY_MAX: u64 = 1 << 16;

/// `None`: no table tells of that address.
pub(super) fn row(memory: &mut Memory, pc: u64) -> Option<Row> {
    let header = header(memory, pc)?;
    let entry = entry(memory, header, pc)?;
    // `gimli` wants a section. Ours has two entries: the one that was found, and before it the one with
    // what several have in common.
    let field = entry.checked_add(4)?;
    let common = field.checked_sub(memory.half(field)?.into())?;
    let mut section = whole(memory, common)?;
    let (own, at) = (whole(memory, entry)?, section.len());
    section.extend(own);
    let back = u32::try_from(at + 4).ok()?;
    section.get_mut(at + 4..at + 8)?.copy_from_slice(&back.to_le_bytes());
    let mut section = EhFrame::new(&section, LittleEndian);
    section.set_address_size(8);
    // Addresses count from where they stand.
    let bases = BaseAddresses::default().set_eh_frame(entry.wrapping_sub(at as u64));
    let found =
        section.fde_from_offset(&bases, EhFrameOffset(at), EhFrame::cie_from_offset).ok()?;
    if !found.contains(pc) {
        return None;
    }
    let mut context = UnwindContext::new();
    let row = found.unwind_info_for_address(&section, &bases, &mut context, pc).ok()?.clone();
    Some(Row { row, start: found.initial_address() })
}

/// An entry with its length.
fn whole(memory: &mut Memory, at: u64) -> Option<Vec<u8>> {
    let length = u64::from(memory.half(at)?) + 4;
    let mut bytes = vec![0; usize::try_from(length).ok().filter(|_| length <= ENTRY_MAX)?];
    memory.bytes(at, &mut bytes)?;
    Some(bytes)
}

/// The address of the sorted table of the file that has that code: as its program header says.
fn header(memory: &mut Memory, pc: u64) -> Option<u64> {
    const LOADED: u32 = 1;
    const TABLE: u32 = 0x6474_E550;
    let part = memory.part(pc).filter(|part| part.runs)?.clone();
    let base = memory.base(&part)?;
    if memory.half(base)? != u32::from_le_bytes(*b"\x7fELF") {
        return None;
    }
    let first = base.checked_add(memory.word(base + 0x20)?)?;
    let sizes = memory.half(base + 0x36)?;
    let (size, count) = (u64::from(sizes & 0xFFFF), u64::from(sizes >> 16));
    let (mut table, mut loaded) = (None, None);
    for at in (0..count).map(|nth| first.wrapping_add(nth * size)) {
        match memory.half(at)? {
            LOADED if loaded.is_none() => {
                let (offset, address) = (memory.word(at + 8)?, memory.word(at + 16)?);
                loaded = Some(address.wrapping_sub(offset));
            }
            TABLE => table = Some(memory.word(at + 16)?),
            _ => {}
        }
    }
    Some(base.wrapping_sub(loaded?).wrapping_add(table?))
}

/// The entry of the function that is the last to begin at `pc` or before, by the sorted table.
fn entry(memory: &mut Memory, header: u64, pc: u64) -> Option<u64> {
    // The form that every linker writes: a pointer to the entries and a number, each of four bytes, and
    // then pairs that count from the header.
    const FORM: u32 = u32::from_le_bytes([1, 0x1B, 0x03, 0x3B]);
    if memory.half(header)? != FORM {
        return None;
    }
    let from_header = |word: u32| header.wrapping_add_signed((word as i32).into());
    let (mut below, mut above) = (0, u64::from(memory.half(header.wrapping_add(8))?));
    let pair = |nth: u64| header.wrapping_add(12 + nth * 8);
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        match from_header(memory.half(pair(middle))?) <= pc {
            true => below = middle,
            false => above = middle,
        }
    }
    Some(from_header(memory.half(pair(below).wrapping_add(4))?))
}
