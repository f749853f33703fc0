import { formatBytes } from './command.ts'

/**
 * A progress bar on stderr, redrawn at most ten times a second. Where stderr is no terminal it writes nothing but the
 * closing line, so that logs of scripts stay readable.
 */
export class Progress {
  readonly #label: string
  readonly #total: number | undefined
  readonly #stream: NodeJS.WriteStream
  readonly #startedMs = performance.now()
  #done = 0
  #drawnMs = 0

  /** @param total bytes to come, undefined if nobody knows */
  constructor(label: string, total: number | undefined, stream: NodeJS.WriteStream = process.stderr) {
    this.#label = label
    this.#total = total
    this.#stream = stream
  }

  /** @param done bytes so far, all in all */
  update(done: number): void {
    this.#done = done
    const now = performance.now()
    if (!this.#stream.isTTY || now - this.#drawnMs < 100) return
    this.#drawnMs = now
    this.#stream.write(`\r${this.#line()}\x1b[K`)
  }

  finish(note = ''): void {
    const ms = performance.now() - this.#startedMs
    const rate = ms > 0 ? `, ${formatBytes((this.#done / ms) * 1000)}/s` : ''
    this.#stream.write(
      `${this.#stream.isTTY ? '\r' : ''}${this.#label}  ${formatBytes(this.#done)} in ${formatSeconds(ms)}${rate}${note}${this.#stream.isTTY ? '\x1b[K' : ''}\n`,
    )
  }

  fail(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K')
  }

  #line(): string {
    const seconds = (performance.now() - this.#startedMs) / 1000
    const rate = this.#done / Math.max(seconds, 0.001)
    const amount = `${formatBytes(this.#done)}${this.#total === undefined ? '' : ` of ${formatBytes(this.#total)}`}`
    if (!this.#total) return `${this.#label}  ${amount}  ${formatBytes(rate)}/s`
    const share = Math.min(1, this.#done / this.#total)
    const width = Math.max(10, Math.min(40, (this.#stream.columns ?? 80) - this.#label.length - 50))
    const bar = '█'.repeat(Math.round(share * width)).padEnd(width, '░')
    const left = rate > 0 ? formatSeconds(((this.#total - this.#done) / rate) * 1000) : '…'
    return `${this.#label}  ${bar} ${Math.floor(share * 100)} %  ${amount}  ${formatBytes(rate)}/s  ${left} left`
  }
}

function formatSeconds(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 100) return `${Math.round(seconds)} s`
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}
