//! Makes small SOFTWARE hives, cell by cell.

/// A value: its name, its type and its data.
pub struct Made {
    pub name: &'static str,
    pub kind: u32,
    pub data: Vec<u8>,
}

/// `REG_SZ`.
pub fn text(name: &'static str, text: &str) -> Made {
    let data = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    Made { name, kind: 1, data }
}

/// `REG_DWORD`.
pub fn number(name: &'static str, number: u32) -> Made {
    Made { name, kind: 4, data: number.to_le_bytes().to_vec() }
}

/// A hive with these values below `Microsoft\Windows NT\CurrentVersion`, among other keys; a differencing one if it is a
/// delta.
pub fn software_hive(delta: bool, values: &[Made]) -> Vec<u8> {
    let mut bins = Bins(vec![0; 32]);
    let values: Vec<u32> = values.iter().map(|value| bins.value(value)).collect();
    let version = bins.key("CurrentVersion", &[], &values);
    let notifications = bins.key("Notifications", &[], &[]);
    let subkeys = bins.leaf(b"li", &[version, notifications]);
    let windows_nt = bins.key("Windows NT", &subkeys, &[]);
    let others: Vec<u32> = ["Active Setup", "Cryptography", "Windows"].map(|name| bins.key(name, &[], &[])).into();
    let lists = [bins.leaf(b"lh", &others), bins.leaf(b"lf", &[windows_nt])].map(|leaf| bins.cell(&leaf));
    let lists = Bins::list(b"ri", 4, &lists);
    let microsoft = bins.key("Microsoft", &lists, &[]);
    let classes = bins.key("Classes", &[], &[]);
    let subkeys = bins.leaf(b"lh", &[classes, microsoft]);
    let root = bins.key("ROOT", &subkeys, &[]);
    bins.finish(root, delta)
}

/// The hive bins: one bin.
struct Bins(Vec<u8>);

impl Bins {
    fn cell(&mut self, data: &[u8]) -> u32 {
        let position = self.0.len();
        let length = (4 + data.len()).next_multiple_of(8);
        self.0.extend_from_slice(&(length as u32).wrapping_neg().to_le_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(position + length, 0);
        position as u32
    }

    fn value(&mut self, value: &Made) -> u32 {
        let mut cell = vec![0; 20];
        cell[..2].copy_from_slice(b"vk");
        cell[2..4].copy_from_slice(&(value.name.len() as u16).to_le_bytes());
        let (size, place) = match <[u8; 4]>::try_from(value.data.as_slice()) {
            Ok(inline) => (4 | 1 << 31, inline),
            Err(_) => (value.data.len() as u32, self.cell(&value.data).to_le_bytes()),
        };
        cell[4..8].copy_from_slice(&size.to_le_bytes());
        cell[8..12].copy_from_slice(&place);
        cell[12..16].copy_from_slice(&value.kind.to_le_bytes());
        cell[16] = 1;
        cell.extend_from_slice(value.name.as_bytes());
        self.cell(&cell)
    }

    /// A list: its kind, and its entries of so many bytes.
    fn list(kind: &[u8; 2], step: usize, entries: &[u32]) -> Vec<u8> {
        let mut list = [&kind[..], &(entries.len() as u16).to_le_bytes()].concat();
        for entry in entries {
            list.extend_from_slice(&entry.to_le_bytes());
            list.resize(list.len() + step - 4, 0xee);
        }
        list
    }

    fn leaf(&self, kind: &[u8; 2], keys: &[u32]) -> Vec<u8> {
        Bins::list(kind, if kind == b"li" { 4 } else { 8 }, keys)
    }

    fn key(&mut self, name: &str, subkeys: &[u8], values: &[u32]) -> u32 {
        let mut node = vec![0; 76];
        node[..2].copy_from_slice(b"nk");
        node[2] = 0x20;
        node[13] = 0x80;
        for at in [28, 32, 40, 44, 48] {
            node[at..at + 4].fill(0xff);
        }
        if !subkeys.is_empty() {
            node[20..24].copy_from_slice(&1_u32.to_le_bytes());
            node[28..32].copy_from_slice(&self.cell(subkeys).to_le_bytes());
        }
        if !values.is_empty() {
            let list: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            node[36..40].copy_from_slice(&(values.len() as u32).to_le_bytes());
            node[40..44].copy_from_slice(&self.cell(&list).to_le_bytes());
        }
        node[72..74].copy_from_slice(&(name.len() as u16).to_le_bytes());
        node.extend_from_slice(name.as_bytes());
        self.cell(&node)
    }

    fn finish(mut self, root: u32, delta: bool) -> Vec<u8> {
        let size = self.0.len().next_multiple_of(4096);
        self.0.resize(size, 0);
        self.0[..4].copy_from_slice(b"hbin");
        self.0[8..12].copy_from_slice(&(size as u32).to_le_bytes());
        let mut head = vec![0; 4096];
        head[..4].copy_from_slice(b"regf");
        let (minor, flags) = if delta { (6, 2) } else { (5, 0) };
        let fields = [(4, 1), (8, 1), (20, 1), (24, minor), (32, 1), (36, root), (40, size as u32), (144, flags)];
        for (at, value) in fields {
            head[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let words = head[..508].chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let checksum = words.fold(0, |checksum, word| checksum ^ word);
        head[508..512].copy_from_slice(&checksum.to_le_bytes());
        [head, self.0].concat()
    }
}
