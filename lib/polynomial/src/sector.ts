/** Bytes of one coefficient: 15 little-endian signed 16-bit words. */
export const SECTOR_BYTES = 30
/** Words of one coefficient. */
export const SECTOR_WORDS = 15

/** Coefficients of the polynomial that data stand for; the last may be filled up with zeros. */
export function sectorCount(byteLength: number): number {
  return Math.ceil(byteLength / SECTOR_BYTES)
}
