import { constants, readFileSync, readlinkSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { TestContext } from 'node:test'

/** What is done to a file through a handle. */
export type DiskCall =
  | {
      readonly kind: 'write'
      readonly path: string
      readonly start: number
      readonly bytes: Uint8Array
      /** Whether it is on the disk when it is done. */
      readonly isSyncing: boolean
    }
  | { readonly kind: 'sync'; readonly path: string }

type WriteArgs = [bytes: Uint8Array, offset: number, length: number, at: number]

/** Only there does a process see how its files were opened. */
export const noDiskCalls = process.platform === 'linux' ? false : 'needs /proc, which tells how a file was opened'

/**
 * For the rest of the test, whatever is written and synced through any file handle of this process is shown to `around`, which has it
 * done, now or later.
 */
export async function watchDisk(
  t: TestContext,
  around: (call: DiskCall, done: () => Promise<unknown>) => Promise<unknown>,
): Promise<void> {
  const any = await open(import.meta.filename)
  const prototype: FileHandle = Object.getPrototypeOf(any)
  await any.close()
  const { writeFile, datasync, sync } = prototype
  // Of the ways to call it, the one that is used.
  const write = prototype.write as (...args: WriteArgs) => Promise<unknown>

  const onWrite = function (this: FileHandle, ...args: WriteArgs) {
    const [bytes, offset, length, start] = args
    const call = { path: pathOf(this), start, bytes: bytes.slice(offset, offset + length), isSyncing: isSyncing(this) }
    return around({ kind: 'write', ...call }, () => write.apply(this, args))
  }
  const onWriteFile = function (this: FileHandle, bytes: Uint8Array) {
    const call = { path: pathOf(this), start: 0, bytes, isSyncing: isSyncing(this) }
    return around({ kind: 'write', ...call }, () => writeFile.call(this, bytes))
  }
  const onSync = (original: () => Promise<void>) =>
    function (this: FileHandle) {
      return around({ kind: 'sync', path: pathOf(this) }, () => original.call(this))
    }
  t.mock.method(prototype, 'write', onWrite as FileHandle['write'])
  t.mock.method(prototype, 'writeFile', onWriteFile as typeof writeFile)
  t.mock.method(prototype, 'datasync', onSync(datasync) as typeof datasync)
  t.mock.method(prototype, 'sync', onSync(sync) as typeof sync)
}

/** Its name now: renamed since it was opened, perhaps. */
function pathOf({ fd }: FileHandle): string {
  return readlinkSync(`/proc/self/fd/${fd}`)
}

function isSyncing({ fd }: FileHandle): boolean {
  const [, flags] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))!
  return (Number.parseInt(flags!, 8) & constants.O_DSYNC) !== 0
}

type Done =
  | { readonly number: number; readonly start: number; readonly end: number; readonly isSyncing: boolean }
  | { readonly number: number; readonly begunAt: number }

const ON_DISK = -1
/** After everything that has ended. */
const UNDER_WAY = 2 ** 31 - 1

/**
 * What would still be there of a file after a power cut: all that was written by a syncing write, or before a sync began that has
 * ended. Of what was there before it was looked at, nothing, until then.
 */
export class DurableBytes {
  /** Calls that have ended. */
  #count = 0
  readonly #done: Done[] = []
  /** Syncing writes and syncs that have ended: each was a wait for the disk. */
  waitCount = 0

  /** Does it, slowly, and remembers it. */
  async carryOut(call: DiskCall, done: () => Promise<unknown>): Promise<unknown> {
    const begunAt = this.#count
    const range = call.kind === 'write' && { start: call.start, end: call.start + call.bytes.length }
    if (range) this.#done.push({ number: UNDER_WAY, ...range, isSyncing: false })
    await pause()
    const result = await done()
    await pause()
    const number = ++this.#count
    const isSyncing = call.kind === 'sync' || call.isSyncing
    this.#done.push(range ? { number, ...range, isSyncing } : { number, begunAt })
    if (isSyncing) this.waitCount++
    return result
  }

  /** The first byte of a range that a power cut could take; undefined if there is none. */
  firstLost(start: number, end: number): number | undefined {
    /** For each byte the call that wrote it last; 0 is before all. */
    const written = new Int32Array(end - start)
    for (const one of this.#done) {
      if ('begunAt' in one) {
        for (let i = 0; i < written.length; i++) if (written[i]! <= one.begunAt) written[i] = ON_DISK
      } else {
        const [from, to] = [Math.max(one.start, start) - start, Math.min(one.end, end) - start]
        if (from < to) written.fill(one.isSyncing ? ON_DISK : one.number, from, to)
      }
    }
    const lost = written.findIndex((number) => number !== ON_DISK)
    return lost === -1 ? undefined : start + lost
  }
}

/** Longer than what does not wait for the disk takes to go on. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 3))
}
