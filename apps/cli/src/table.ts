import { stripVTControlCharacters, styleText } from 'node:util'

/** Text in columns; the first row is the head. Colours do not count for the width. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, visibleLength(cell))
    })
  }
  return rows
    .map((row, index) => {
      const line = row
        .map((cell, i) => (i === row.length - 1 ? cell : cell + ' '.repeat(widths[i]! - visibleLength(cell))))
        .join('  ')
        .trimEnd()
      return index === 0 ? dim(line) : line
    })
    .join('\n')
}

// styleText leaves colours out where the stream has none, or NO_COLOR is set.
export const dim = (text: string) => styleText('dim', text, { stream: process.stdout })
export const bold = (text: string) => styleText('bold', text, { stream: process.stdout })
export const green = (text: string) => styleText('green', text, { stream: process.stdout })
export const red = (text: string) => styleText('red', text, { stream: process.stdout })
export const yellow = (text: string) => styleText('yellow', text, { stream: process.stdout })

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length
}
