// Drawing, as sartm_core/support/visualize.py does it: `overlay`, `outline`, `lightened`, `thermal_to_gray`.
import { sized } from "./frames.js";
export const IGNORE = 255;
const ROWS_PER_LINE = 300;
export const canvas = (kind) => document.querySelector(`#${kind} canvas`);

export function put(kind, width, height, rgba) {
  sized(canvas(kind), width, height).putImageData(new ImageData(rgba, width, height), 0, 0);
}

export function gray(picture, low, high) {
  const rgba = new Uint8ClampedArray(4 * picture.values.length), span = Math.max(high - low, 1e-6);
  picture.values.forEach((value, i) => {
    const known = Number.isNaN(value) ? low : value;
    const level = Math.floor(255 * Math.min(1, Math.max(0, (known - low) / span)));
    rgba[4 * i] = rgba[4 * i + 1] = rgba[4 * i + 2] = level;
    rgba[4 * i + 3] = 255;
  });
  return rgba;
}

function base(frame, under, width, height) { // what the mask lies over, RGBA at the mask's size
  const kind = frame[under] ? under : under && (frame.rgb ? "rgb" : "thermal");
  const context = sized(document.createElement("canvas"), width, height);
  context.fillRect(0, 0, width, height);
  if (kind) context.drawImage(canvas(kind), 0, 0, width, height);
  const rgba = context.getImageData(0, 0, width, height).data;
  if (kind === "rgb" && frame.gamma !== 1) {
    const curve = Uint8ClampedArray.from({ length: 256 }, (_, i) => 255 * (i / 255) ** frame.gamma);
    for (let i = 0; i < rgba.length; i++) if (i % 4 !== 3) rgba[i] = curve[rgba[i]];
  }
  return rgba;
}

// under: "rgb", "thermal" or "" for nothing; opacity: 0..1; hidden: ids that are left out.
export function drawOverlay(frame, { under, opacity, hidden }) {
  const { width, height } = frame.mask || frame.rgb || frame.thermal;
  const rgba = base(frame, under, width, height);
  const colors = new Map(frame.legend.filter((row) => !hidden.has(row.id)).map((row) => [row.id, row.color]));
  if (frame.mask) blend(rgba, frame.mask, colors, Math.round(opacity * 256));
  put("overlay", width, height, rgba);
}

function blend(rgba, { width, height, values }, colors, weight) {
  const line = Math.max(1, Math.round(height / ROWS_PER_LINE));
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const id = values[i], color = colors.get(id);
      if (id === 0 || id === IGNORE || !color || !weight) continue;
      const edge = (y >= line && values[i - line * width] !== id) || (y + line < height && values[i + line * width] !== id)
        || (x >= line && values[i - line] !== id) || (x + line < width && values[i + line] !== id);
      for (let c = 0; c < 3; c++) {
        const at = 4 * i + c;
        rgba[at] = edge ? color[c] : (color[c] * weight + rgba[at] * (256 - weight)) >> 8;
      }
    }
  }
}
