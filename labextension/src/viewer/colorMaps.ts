/** Colour maps as look-up tables. */

/** Colours at even distances, `rrggbb` each, as Matplotlib has them (CC0). */
const STOPS: Readonly<Record<string, string>> = {
  viridis:
    '44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725',
  cividis:
    '00224e002e6a1a386f32436d434e6c535a6d61656f6f70737d7c788c88789b9476aba072bcae6ccdbb63dec958f0d846fee838',
  inferno:
    '0000040b0724210c4a3d096557106e71196e8a226aa32c61bc3754d24644e45a31f1731df98e09fcac11f9cb35f2ea69fcffa4',
  magma:
    '0000040a08221d114736106b51127c6a1c818326819c2e7fb73779d0416fe75263f56b5cfc8961fea772fec488fde2a3fcfdbf',
  plasma:
    '0d08873105974c02a16600a77e03a89511a1aa2395bc3587cc4778da5a6ae66c5cf0804ef89540fdac33fdc527f8df25f0f921',
  gray: '000000ffffff',
  turbo:
    '30123b392a734040a24456c7466be34680f64294ff37a8fa28bceb1ccdd818ddc21fe9af32f2984ef97d6dfe628bff4ba4fc3cb9f635cdec34dfdf37eecf3af8be39fdac34fe962bfb7e21f46617eb500edf3f08d02f05be2102a91601920b017a0403',
  coolwarm:
    '3b4cc04e68d86282ea779af78db0fea3c2feb9d0f9ccd9eddddcdcecd3c5f5c4acf7b093f4987aeb7d62dd5f4bca3b37b40426',
  RdBu: '67001f960f27bb2a34d25849e58368f5ac8bfbceb7fbe6daf6f7f7deebf2c0dceb98c8e068abd03e8cbf2870b115508d053061',
  twilight:
    'e2d9e2d7d7ddc4ced4acc2cc95b5c781a6c37297c16887be6276ba5f64b55e51ad5d3da1592a8f511b7745135c3811452f14363a113a4a13425f174a741e4f872750983550a64550b25652bb6958c27c63c89073cca389d1b6a3d8c7bedfd4d6e2d9e2'
};

export const COLOR_MAPS: readonly string[] = Object.keys(STOPS);
export const DEFAULT_COLOR_MAP = 'viridis';

/** Entries of a look-up table. */
export const LEVELS = 256;

export type Rgb = readonly [number, number, number];

/** Return the colour at a place of a map, 0 to 1. */
export function colorAt(name: string, place: number, reversed = false): Rgb {
  const text = STOPS[name] ?? STOPS[DEFAULT_COLOR_MAP] ?? '';
  const last = text.length / 6 - 1;
  const clipped = Math.max(0, Math.min(1, reversed ? 1 - place : place));
  const at = clipped * last;
  const low = Math.min(Math.floor(at), last - 1);
  const rest = at - low;
  const channel = (stop: number, index: number) =>
    parseInt(text.slice(6 * stop + 2 * index, 6 * stop + 2 * index + 2), 16);
  const mixed = (index: number) =>
    Math.round(channel(low, index) * (1 - rest) + channel(low + 1, index) * rest);
  return [mixed(0), mixed(1), mixed(2)];
}

/** Return a map as pixels of an `ImageData`: red in the lowest byte, opaque. */
export function lookupTable(name: string, reversed = false): Uint32Array {
  const table = new Uint32Array(LEVELS);
  for (let level = 0; level < LEVELS; level++) {
    const [red, green, blue] = colorAt(name, level / (LEVELS - 1), reversed);
    table[level] = pixel(red, green, blue, 255);
  }
  return table;
}

/** Return a map as a CSS gradient. */
export function gradient(name: string, reversed: boolean, direction: 'to right' | 'to top'): string {
  const stops = Array.from(
    { length: 17 },
    (_, index) => `rgb(${colorAt(name, index / 16, reversed).join(' ')})`
  );
  return `linear-gradient(${direction}, ${stops.join(', ')})`;
}

/** Pack a pixel as a little-endian processor keeps it. */
export function pixel(red: number, green: number, blue: number, alpha: number): number {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
