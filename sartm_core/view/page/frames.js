// Frames as the server sends them: see sartm_core/view/wire.py.
export async function ask(url, options) {
  const response = await fetch(url, options);
  if (!response.ok) throw new Error((await response.text()) || response.statusText);
  return response;
}

export async function unpack(response) {
  const buffer = await response.arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  for (const part of head.parts || []) {
    const bytes = new Blob([new Uint8Array(buffer, at, part.size)], { type: part.type });
    head[part.kind] = { ...part, values: await (part.kind === "rgb" ? pixels(bytes) : numbers(bytes, part.type)) };
    at += part.size;
  }
  return head;
}

async function numbers(blob, type) {
  const inflated = await new Response(blob.stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  return new { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array }[type](inflated);
}

async function pixels(blob) {
  const image = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const context = sized(document.createElement("canvas"), image.width, image.height);
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height).data;
}

export function sized(target, width, height) {
  if (target.width !== width || target.height !== height) Object.assign(target, { width, height });
  return target.getContext("2d", { willReadFrequently: true });
}
