// Class ids as an index PNG with the data set's colours: what `sartm predict` writes.
export async function indexPng({ width, height, values }, palette) {
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(values.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const zipped = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));
  const colors = new Uint8Array(768).fill(90);
  colors.set(palette.flat());
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint16(8, 0x0803); // 8 bits, index
  const chunks = [["IHDR", new Uint8Array(header.buffer)], ["PLTE", colors], ["IDAT", new Uint8Array(await zipped.arrayBuffer())], ["IEND", new Uint8Array()]];
  return new Blob(["\x89PNG\r\n\x1a\n"].map((text) => Uint8Array.from(text, (c) => c.charCodeAt(0))).concat(chunks.map(chunk)), { type: "image/png" });
}

function chunk([kind, data]) {
  const out = new Uint8Array(12 + data.length), view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  out.set(Uint8Array.from(kind, (c) => c.charCodeAt(0)), 4);
  out.set(data, 8);
  let crc = ~0;
  for (const byte of out.subarray(4, 8 + data.length)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 && 0xedb88320);
  }
  view.setUint32(8 + data.length, ~crc);
  return out;
}
